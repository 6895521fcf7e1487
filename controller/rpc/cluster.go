package rpc

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/consensus"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

type clusterService struct{ *Server }

var _ novacronv1connect.ClusterServiceHandler = (*clusterService)(nil)

// backupChunkBytes is how much of a backup travels in one message.
const backupChunkBytes = 256 << 10

func (s *clusterService) ListMembers(context.Context, *connect.Request[novacronv1.ListMembersRequest]) (*connect.Response[novacronv1.ListMembersResponse], error) {
	raft, err := s.raftRoles()
	if err != nil {
		return nil, err
	}
	answer := &novacronv1.ListMembersResponse{}
	for id, member := range s.Store.View().Members() {
		status := &novacronv1.MemberStatus{Member: member, Gossip: s.Gossip(id), Raft: "none"}
		if role, ok := raft[id]; ok {
			status.Raft = role
		}
		answer.Members = append(answer.Members, status)
	}
	return connect.NewResponse(answer), nil
}

func (s *clusterService) raftRoles() (map[string]string, error) {
	servers, err := s.Consensus.Servers()
	roles := make(map[string]string, len(servers))
	for _, server := range servers {
		roles[server.ID] = raftRole(server)
	}
	return roles, err
}

func raftRole(server consensus.Server) string {
	switch {
	case server.Leader:
		return "leader"
	case server.Voter:
		return "voter"
	}
	return "nonvoter"
}

func (s *clusterService) findMember(idOrName string) (*novacronv1.Member, error) {
	member, ok := s.Store.View().Member(idOrName)
	if !ok {
		return nil, fmt.Errorf("%w: member %q: see «novacron cluster members»", state.ErrNotFound, idOrName)
	}
	return member, nil
}

// RenewCertificate signs a new key for whoever the old certificate names. The CA is on every controller, so this works
// without a quorum: a cluster that lost it must not also lose its certificates.
func (s *clusterService) RenewCertificate(ctx context.Context, r *connect.Request[novacronv1.RenewCertificateRequest]) (*connect.Response[novacronv1.RenewCertificateResponse], error) {
	certificate, err := s.CA.Sign(r.Msg.GetCsr(), callerOf(ctx).Identity, nil, 0, s.Now())
	return connect.NewResponse(&novacronv1.RenewCertificateResponse{Certificate: certificate}), err
}

// RemoveMember lets administrators remove anyone, and nodes themselves.
func (s *clusterService) RemoveMember(ctx context.Context, r *connect.Request[novacronv1.RemoveMemberRequest]) (*connect.Response[novacronv1.RemoveMemberResponse], error) {
	member, err := s.findMember(r.Msg.GetMember())
	if err != nil {
		return nil, err
	}
	if caller := callerOf(ctx); caller.Role != pki.RoleAdmin && caller.NodeID != member.GetId() {
		return nil, connect.NewError(connect.CodePermissionDenied, fmt.Errorf("node %s may remove itself alone, not %s", caller.Name, member.GetName()))
	}
	if err := s.keepsQuorum(ctx, member); err != nil && !r.Msg.GetForce() {
		return nil, err
	}
	_, err = s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_RemoveMember{RemoveMember: &statev1.RemoveMember{Id: member.GetId(), Force: r.Msg.GetForce()}}
	})
	return connect.NewResponse(&novacronv1.RemoveMemberResponse{}), err
}

func (s *clusterService) SetMemberVoting(ctx context.Context, r *connect.Request[novacronv1.SetMemberVotingRequest]) (*connect.Response[novacronv1.SetMemberVotingResponse], error) {
	member, err := s.findMember(r.Msg.GetMember())
	if err != nil {
		return nil, err
	}
	if !r.Msg.GetVoter() && member.GetVoter() {
		if err := s.keepsQuorum(ctx, member); err != nil {
			return nil, err
		}
	}
	value, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_SetMemberVoting{SetMemberVoting: &statev1.SetMemberVoting{Id: member.GetId(), Voter: r.Msg.GetVoter()}}
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.SetMemberVotingResponse{Member: value.(*novacronv1.Member)}), nil
}

// TransferLeadership hands leadership to a voter.
func (s *clusterService) TransferLeadership(ctx context.Context, r *connect.Request[novacronv1.TransferLeadershipRequest]) (*connect.Response[novacronv1.TransferLeadershipResponse], error) {
	target := &novacronv1.Member{}
	if r.Msg.GetMember() != "" {
		member, err := s.findMember(r.Msg.GetMember())
		if err != nil {
			return nil, err
		}
		if !member.GetVoter() {
			return nil, fmt.Errorf("%w: member %s does not vote, so it cannot lead: promote it first", state.ErrRefused, member.GetName())
		}
		target = member
	}
	if target.GetId() == s.Self.NodeID {
		return connect.NewResponse(&novacronv1.TransferLeadershipResponse{LeaderId: target.GetId(), LeaderName: target.GetName()}), nil
	}
	if err := s.Consensus.TransferLeadership(ctx, target.GetId()); err != nil {
		return nil, err
	}
	return s.newLeader(ctx)
}

// newLeader waits until it is known who leads. For a moment after it has stepped down this controller may still take itself
// for the leader.
func (s *clusterService) newLeader(ctx context.Context) (*connect.Response[novacronv1.TransferLeadershipResponse], error) {
	ctx, cancel := context.WithTimeout(ctx, electionPatience)
	defer cancel()
	for {
		leads, err := s.awaitLeader(ctx)
		if err != nil {
			return nil, err
		}
		if leads.GetId() != s.Self.NodeID {
			return connect.NewResponse(&novacronv1.TransferLeadershipResponse{LeaderId: leads.GetId(), LeaderName: leads.GetName()}), nil
		}
		select {
		case <-ctx.Done():
			return nil, connect.NewError(connect.CodeAborted, errors.New("leadership came back to this controller: ask again"))
		case <-time.After(electionPoll):
		}
	}
}

// Backup streams what is committed.
func (s *clusterService) Backup(ctx context.Context, _ *connect.Request[novacronv1.BackupRequest], stream *connect.ServerStream[novacronv1.BackupResponse]) error {
	out := bufio.NewWriterSize(sender(func(p []byte) error { return stream.Send(&novacronv1.BackupResponse{Data: p}) }), backupChunkBytes)
	if err := s.Consensus.Backup(ctx, out); err != nil {
		return err
	}
	return out.Flush()
}

type sender func([]byte) error

func (s sender) Write(p []byte) (int, error) {
	if err := s(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Restore replaces the intent by that of a backup; what is a fact of today stays.
func (s *clusterService) Restore(ctx context.Context, stream *connect.ClientStream[novacronv1.RestoreRequest]) (*connect.Response[novacronv1.RestoreResponse], error) {
	var rest []byte
	reader := readerFunc(func(p []byte) (int, error) {
		for len(rest) == 0 {
			if !stream.Receive() {
				return 0, cmp.Or(stream.Err(), io.EOF)
			}
			rest = stream.Msg().GetData()
		}
		n := copy(p, rest)
		rest = rest[n:]
		return n, nil
	})
	if err := s.Consensus.Restore(ctx, reader); err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.RestoreResponse{Revision: s.Store.Revision()}), nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
