package env_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

func TestMinorityRefusesWritesAndAnswersStaleReads(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 1})
	first := leader(t, c)
	create(t, admin(t, c, first.Name), small("kept"))
	waitPhase(t, admin(t, c, first.Name), "kept", running)
	alone := followers(t, c)[0]
	for _, member := range c.Members(pki.RoleController) {
		if member != alone {
			require.NoError(t, member.Stop())
		}
	}
	waitFor(t, alone.Name+" to see no leader", func(ctx context.Context) error {
		status, err := c.Status(ctx, alone.Name, false)
		if err == nil && status.GetLeaderId() != "" {
			err = fmt.Errorf("it follows %s", status.GetLeaderId())
		}
		return err
	})
	client, err := c.Admin(alone.Name)
	require.NoError(t, err)
	_, err = client.VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: small("refused")}))
	require.Equal(t, connect.CodeUnavailable, connect.CodeOf(err))
	for _, part := range []string{"no leader", alone.Name, "nothing can be changed", "--consistency stale"} {
		require.ErrorContains(t, err, part)
	}
	_, err = client.VMs.ListVMs(t.Context(), connect.NewRequest(&novacronv1.ListVMsRequest{}))
	require.Equal(t, connect.CodeUnavailable, connect.CodeOf(err))
	stale := admin(t, c, alone.Name, env.Consistency("stale"))
	list, err := stale.VMs.ListVMs(t.Context(), connect.NewRequest(&novacronv1.ListVMsRequest{}))
	require.NoError(t, err)
	require.Len(t, list.Msg.GetVms(), 1)
	health, err := client.Cluster.GetHealth(t.Context(), connect.NewRequest(&novacronv1.GetHealthRequest{}))
	require.NoError(t, err)
	require.False(t, health.Msg.GetHealthy())
	require.Contains(t, fmt.Sprint(health.Msg.GetProblems()), "no quorum: ")

	for _, member := range c.Members(pki.RoleController) {
		if !member.Running() {
			require.NoError(t, member.Start(t.Context()))
		}
	}
	list, err = admin(t, c, alone.Name).VMs.ListVMs(t.Context(), connect.NewRequest(&novacronv1.ListVMsRequest{}))
	require.NoError(t, err)
	require.Len(t, list.Msg.GetVms(), 1, "what was refused must not appear later")
	requireEqualHashes(t, c)
}

// requireEqualHashes waits until all controllers that run are in the same state.
func requireEqualHashes(t *testing.T, c *env.Cluster) {
	t.Helper()
	waitFor(t, "equal states", func(ctx context.Context) error {
		hashes := map[string]bool{}
		for _, member := range c.Members(pki.RoleController) {
			if !member.Running() {
				continue
			}
			status, err := c.Status(ctx, member.Name, true)
			if err != nil {
				return err
			}
			hashes[status.GetStateHash()] = true
		}
		if len(hashes) != 1 {
			return fmt.Errorf("%d different states", len(hashes))
		}
		return nil
	})
}

func TestLeadershipMovesOnRequest(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3})
	target := followers(t, c)[0]
	client := admin(t, c, followers(t, c)[1].Name)
	moved, err := client.Cluster.TransferLeadership(t.Context(), connect.NewRequest(&novacronv1.TransferLeadershipRequest{Member: target.Name}))
	require.NoError(t, err)
	require.Equal(t, target.Name, moved.Msg.GetLeaderName())
	require.Equal(t, target, leader(t, c))

	voting := func(name string, voter bool) error {
		_, err := client.Cluster.SetMemberVoting(t.Context(), connect.NewRequest(&novacronv1.SetMemberVotingRequest{Member: name, Voter: voter}))
		return err
	}
	demoted := followers(t, c)[0]
	require.NoError(t, voting(demoted.Name, false))
	waitRaft(t, c, demoted.Name, "nonvoter")
	_, err = client.Cluster.TransferLeadership(t.Context(), connect.NewRequest(&novacronv1.TransferLeadershipRequest{Member: demoted.Name}))
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
	require.ErrorContains(t, err, "promote it first")
	require.NoError(t, voting(demoted.Name, true))
	waitRaft(t, c, demoted.Name, "voter")
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(voting("nobody", true)))
}

func waitRaft(t *testing.T, c *env.Cluster, name, want string) {
	t.Helper()
	waitFor(t, name+" to be a "+want, func(ctx context.Context) error {
		client, err := c.Admin(leader(t, c).Name)
		if err != nil {
			return err
		}
		answer, err := client.Cluster.ListMembers(ctx, connect.NewRequest(&novacronv1.ListMembersRequest{}))
		if err != nil {
			return err
		}
		for _, member := range answer.Msg.GetMembers() {
			if member.GetMember().GetName() == name && member.GetRaft() == want {
				return nil
			}
		}
		return fmt.Errorf("members: %v", answer.Msg.GetMembers())
	})
}

func TestQuorumIsNotGivenAway(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3})
	lost := followers(t, c)[0]
	require.NoError(t, lost.Stop())
	other := followers(t, c)[0]
	client := admin(t, c, leader(t, c).Name)
	removal := func(force bool) error {
		_, err := client.Cluster.RemoveMember(t.Context(), connect.NewRequest(&novacronv1.RemoveMemberRequest{Member: other.Name, Force: force}))
		return err
	}
	err := removal(false)
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
	require.ErrorContains(t, err, "fewer than the 2 of a quorum")
	_, err = client.Cluster.RemoveMember(t.Context(), connect.NewRequest(&novacronv1.RemoveMemberRequest{Member: lost.Name}))
	require.NoError(t, err, "the one that is dead may go")
	waitFor(t, "both to be healthy", func(ctx context.Context) error {
		health, err := client.Cluster.GetHealth(ctx, connect.NewRequest(&novacronv1.GetHealthRequest{}))
		if err == nil && !health.Msg.GetHealthy() {
			err = fmt.Errorf("%v", health.Msg.GetProblems())
		}
		return err
	})
	require.NoError(t, removal(false), "now both that are left are healthy, but one is enough")
	_, err = client.Cluster.RemoveMember(t.Context(), connect.NewRequest(&novacronv1.RemoveMemberRequest{Member: leader(t, c).Name}))
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
}

func TestRemovedMembersAreShutOut(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 2})
	gone, host := followers(t, c)[0], c.Member("host-2")
	peer := followers(t, c)[1]
	var materials []pki.Material
	for _, member := range []*env.Member{gone, host} {
		material, err := member.Material()
		require.NoError(t, err)
		materials = append(materials, material)
	}
	for i, member := range []*env.Member{gone, host} {
		_, err := admin(t, c, peer.Name).Cluster.RemoveMember(t.Context(), connect.NewRequest(&novacronv1.RemoveMemberRequest{Member: member.Name}))
		require.NoError(t, err, i)
	}
	for i, material := range materials {
		t.Run(string(material.Identity.Role), func(t *testing.T) {
			waitFor(t, "the removal to be everywhere", func(ctx context.Context) error {
				for _, at := range []*env.Member{leader(t, c), peer, c.Member("host-1")} {
					if err := reaches(ctx, c, material, at.Config.API); err == nil {
						return fmt.Errorf("%s still lets it in", at.Name)
					}
				}
				return nil
			})
			if i == 0 {
				require.Error(t, dialRaft(t, material, leader(t, c).Config.Raft, patience))
			}
		})
	}
	own, err := leader(t, c).Material()
	require.NoError(t, err)
	require.NoError(t, dialRaft(t, own, peer.Config.Raft, 300*time.Millisecond), "the door is closed to them alone")
}

// reaches tells whether a member answers to a node's proof.
func reaches(ctx context.Context, c *env.Cluster, who pki.Material, address string) error {
	client, err := c.Client(who, "")
	if err != nil {
		return err
	}
	defer client.HTTP.CloseIdleConnections()
	_, err = agentv1connect.NewBlobServiceClient(client.HTTP, "https://"+address).StatBlob(ctx, connect.NewRequest(&agentv1.StatBlobRequest{Sha256: emptyHash}))
	if connect.CodeOf(err) == connect.CodeNotFound {
		return nil
	}
	return err
}

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// dialRaft does the handshake of the Raft port and waits for a time whether the other side hangs up on it.
func dialRaft(t *testing.T, who pki.Material, address string, within time.Duration) error {
	t.Helper()
	creds, err := pki.NewCredentials(who, pki.Options{})
	require.NoError(t, err)
	conn, err := dialTLS(t, creds.ClientTLS(pki.RoleController), address)
	if err != nil {
		return err
	}
	defer conn.Close()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(within)))
	_, err = conn.Read(make([]byte, 1))
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return nil // it waits for what we have to say: we are in
	}
	return err
}
