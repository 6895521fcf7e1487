package rpc

import (
	"context"
	"net/http"

	"connectrpc.com/connect"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

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
