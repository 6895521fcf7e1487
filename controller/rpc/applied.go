package rpc

import (
	"context"
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

// Fresh returns once the state here holds everything that was acknowledged before the call, as far as the leader that this
// controller follows knows.
func (s *Server) Fresh(ctx context.Context) error {
	leads, err := s.awaitLeader(ctx)
	if err != nil {
		return err
	}
	if leads.GetId() == s.Self.NodeID {
		return s.Consensus.ReadIndex(ctx)
	}
	applied, err := AppliedIndex(ctx, s.Peers, leads)
	if err != nil {
		return connect.NewError(connect.CodeUnavailable, fmt.Errorf("the leader %s cannot be reached from this controller: %w", leads.GetName(), err))
	}
	ctx, cancel := context.WithTimeout(ctx, electionPatience)
	defer cancel()
	return s.Consensus.WaitApplied(ctx, applied)
}

// AppliedIndex asks a controller how much of the log it has applied.
func AppliedIndex(ctx context.Context, peers *http.Client, member *novacronv1.Member) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	client := novacronv1connect.NewClusterServiceClient(peers, memberURL(member.GetApiAddress()))
	answer, err := client.GetControllerStatus(ctx, connect.NewRequest(&novacronv1.GetControllerStatusRequest{}))
	if err != nil {
		return 0, err
	}
	return answer.Msg.GetStatus().GetAppliedIndex(), nil
}
