package rpc

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/vm"
)

// guestTimeout bounds a question to a guest: its agent may hang as a guest can.
const guestTimeout = 15 * time.Second

// RestartVM commits the wish for one restart.
func (s *vmService) RestartVM(ctx context.Context, r *connect.Request[novacronv1.RestartVMRequest]) (*connect.Response[novacronv1.RestartVMResponse], error) {
	found, err := s.find(r.Msg.GetVm(), r.Msg.GetProject())
	if err != nil {
		return nil, err
	}
	changed, err := s.proposeVM(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_RestartVm{RestartVm: &statev1.RestartVM{Id: found.GetId(), OperationId: s.NewID(), Force: r.Msg.GetForce()}}
	})
	return connect.NewResponse(&novacronv1.RestartVMResponse{Vm: changed}), err
}

// placed finds a machine and the host that owns it.
func (s *vmService) placed(idOrName, project string) (*novacronv1.VM, *novacronv1.Member, error) {
	record, err := s.find(idOrName, project)
	if err != nil {
		return nil, nil, err
	}
	host, ok := s.Store.View().Member(record.GetHostId())
	if !ok {
		return nil, nil, fmt.Errorf("%w: virtual machine %s has no host yet: %s", state.ErrRefused, record.GetSpec().GetName(), record.GetStatus().GetMessage())
	}
	return record, host, nil
}

// GetGuest passes the question to the machine's host.
func (s *vmService) GetGuest(ctx context.Context, r *connect.Request[novacronv1.GetGuestRequest]) (*connect.Response[novacronv1.GetGuestResponse], error) {
	record, host, err := s.placed(r.Msg.GetVm(), r.Msg.GetProject())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, guestTimeout)
	defer cancel()
	answer, err := s.hostAgent(host).GetGuest(ctx, connect.NewRequest(&agentv1.GetGuestRequest{VmId: record.GetId()}))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(answer.Msg.GetGuest()), nil
}

// mustHaveScreen refuses machines that were made without a screen. What an adopted one has, only its host knows.
func mustHaveScreen(record *novacronv1.VM) error {
	if graphics := record.GetSpec().GetDevices().GetGraphics(); graphics == vm.GraphicsNone && !record.GetAdopted() {
		return fmt.Errorf("%w: virtual machine %s has no screen, its devices.graphics is %q: read its console, or create it anew with %q",
			state.ErrRefused, record.GetSpec().GetName(), graphics, vm.GraphicsVNC)
	}
	return nil
}

// Screenshot passes the picture on from the machine's host.
func (s *vmService) Screenshot(ctx context.Context, r *connect.Request[novacronv1.ScreenshotRequest], stream *connect.ServerStream[novacronv1.ScreenshotResponse]) error {
	record, host, err := s.placed(r.Msg.GetVm(), r.Msg.GetProject())
	if err != nil {
		return err
	}
	if err := mustHaveScreen(record); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, guestTimeout)
	defer cancel()
	picture, err := s.hostAgent(host).Screenshot(ctx, connect.NewRequest(&agentv1.ScreenshotRequest{VmId: record.GetId()}))
	if err != nil {
		return err
	}
	defer picture.Close()
	for picture.Receive() {
		if err := stream.Send(&novacronv1.ScreenshotResponse{Data: picture.Msg().GetData(), MimeType: picture.Msg().GetMimeType()}); err != nil {
			return err
		}
	}
	return picture.Err()
}
