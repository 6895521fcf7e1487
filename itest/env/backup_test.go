package env_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

func backup(t *testing.T, client *env.Client) []byte {
	t.Helper()
	stream, err := client.Cluster.Backup(t.Context(), connect.NewRequest(&novacronv1.BackupRequest{}))
	require.NoError(t, err)
	var all bytes.Buffer
	for stream.Receive() {
		all.Write(stream.Msg().GetData())
	}
	require.NoError(t, stream.Err())
	require.NoError(t, stream.Close())
	return all.Bytes()
}

func restore(ctx context.Context, client *env.Client, content []byte) (uint64, error) {
	stream := client.Cluster.Restore(ctx)
	for len(content) > 0 {
		n := min(len(content), 1000)
		if stream.Send(&novacronv1.RestoreRequest{Data: content[:n]}) != nil {
			break // CloseAndReceive says why
		}
		content = content[n:]
	}
	answer, err := stream.CloseAndReceive()
	if err != nil {
		return 0, err
	}
	return answer.Msg.GetRevision(), nil
}

// vmNames are all machines as the leader knows them.
func vmNames(t *testing.T, client *env.Client) []string {
	t.Helper()
	answer, err := client.VMs.ListVMs(t.Context(), connect.NewRequest(&novacronv1.ListVMsRequest{}))
	require.NoError(t, err)
	names := []string{}
	for _, vm := range answer.Msg.GetVms() {
		names = append(names, vm.GetSpec().GetName())
	}
	return names
}

func TestRestoreBringsBackIntentAndKeepsMembers(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 2})
	client := admin(t, c, "controller-1")
	create(t, client, small("old"))
	waitPhase(t, client, "old", running)
	unused, err := c.Token(t.Context(), &novacronv1.CreateTokenRequest{Role: novacronv1.Role_ROLE_VIEWER})
	require.NoError(t, err)
	leaver, err := c.Member("host-2").Material()
	require.NoError(t, err)
	saved := backup(t, client)

	// The world goes on: a member comes, one goes, a token is used, machines come and go.
	_, err = c.Add(t.Context(), "controller-2", pki.RoleController)
	require.NoError(t, err)
	require.NoError(t, c.Member("host-2").Stop())
	_, err = client.Cluster.RemoveMember(t.Context(), connect.NewRequest(&novacronv1.RemoveMemberRequest{Member: "host-2"}))
	require.NoError(t, err)
	_, err = node.Join(t.Context(), c.JoinOptions("guest", unused))
	require.NoError(t, err)
	create(t, client, small("new"))
	waitPhase(t, client, "new", running)
	remove(t, client, "old")
	waitGone(t, client, "old")
	c.Member("host-2").Role = "" // it is no member any more
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, c.Settle(ctx))
	before := revision(t, c)

	after, err := restore(t.Context(), client, saved)
	require.NoError(t, err)
	require.Greater(t, after, before, "revisions never go back: watchers count on it")
	require.Equal(t, []string{"old"}, vmNames(t, client))
	waitPhase(t, client, "old", running)

	members, err := client.Cluster.ListMembers(t.Context(), connect.NewRequest(&novacronv1.ListMembersRequest{}))
	require.NoError(t, err)
	var names []string
	for _, member := range members.Msg.GetMembers() {
		names = append(names, member.GetMember().GetName())
	}
	require.ElementsMatch(t, []string{"controller-1", "controller-2", "host-1"}, names, "who is a member is a fact of today")
	require.Error(t, reaches(t.Context(), c, leaver, client.Address), "a removed member stays shut out")
	_, err = node.Join(t.Context(), c.JoinOptions("second-guest", unused))
	require.Error(t, err, "a token that was used stays used")
	require.NoError(t, c.Settle(ctx))
	requireEqualHashes(t, c)
}

func revision(t *testing.T, c *env.Cluster) uint64 {
	t.Helper()
	status, err := c.Status(t.Context(), leader(t, c).Name, true)
	require.NoError(t, err)
	return status.GetAppliedIndex()
}

func TestWatchSeesARestore(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1})
	client := admin(t, c, "")
	create(t, client, small("old"))
	saved := backup(t, client)
	create(t, client, small("new"))
	seen := newMirror()
	require.NoError(t, seen.follow(t.Context(), client, seen.holds("old", "new")))
	_, err := restore(t.Context(), client, saved)
	require.NoError(t, err)
	require.NoError(t, seen.follow(t.Context(), client, seen.holds("old")), "a watcher that comes back must learn what the restore took away")
}

func TestBadBackupsChangeNothing(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1})
	client := admin(t, c, "")
	create(t, client, small("kept"))
	waitPhase(t, client, "kept", running)
	saved := backup(t, client)
	foreign := env.New(t, env.Options{Controllers: 1})
	flipped := bytes.Clone(saved)
	flipped[len(flipped)/2] ^= 1
	for name, bad := range map[string]struct {
		content []byte
		says    string
	}{
		"truncated":             {saved[:len(saved)-1], ""},
		"cut in half":           {saved[:len(saved)/2], ""},
		"empty":                 {nil, ""},
		"no backup":             {bytes.Repeat([]byte("x"), 4096), ""},
		"one bit flipped":       {flipped, ""},
		"of another cluster":    {backup(t, admin(t, foreign, "")), "this is cluster " + c.ID},
		"with something behind": {append(bytes.Clone(saved), 0), ""},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := c.Status(t.Context(), "controller-1", true)
			require.NoError(t, err)
			_, err = restore(t.Context(), client, bad.content)
			require.Error(t, err)
			require.Contains(t, []connect.Code{connect.CodeInvalidArgument, connect.CodeFailedPrecondition}, connect.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, bad.says)
			after, err := c.Status(t.Context(), "controller-1", true)
			require.NoError(t, err)
			require.Equal(t, before.GetStateHash(), after.GetStateHash())
		})
	}
	waitPhase(t, client, "kept", running)
}

func TestBackupOfOneStateIsTheSame(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1})
	client := admin(t, c, "")
	for i := range 5 {
		create(t, client, small(fmt.Sprintf("vm-%d", i)))
	}
	first := backup(t, client)
	names := vmNames(t, client)
	_, err := restore(t.Context(), client, first)
	require.NoError(t, err)
	require.Equal(t, names, vmNames(t, client))
}
