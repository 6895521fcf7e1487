package agent

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

// Plan gives the domain XML of a create that is not made, and what is unusual about it here.
func (s hostService) Plan(ctx context.Context, r *connect.Request[agentv1.PlanRequest]) (*connect.Response[agentv1.PlanResponse], error) {
	definition := vm.FromProto(r.Msg.GetSpec())
	text, err := s.machines.Plan(ctx, &definition)
	if faults := (vm.Faults)(nil); errors.As(err, &faults) {
		return connect.NewResponse(&agentv1.PlanResponse{Refusal: faults.Error()}), nil
	}
	if err != nil {
		return nil, connect.NewError(codeOf(err), err)
	}
	warnings, err := s.machines.Warnings(ctx, &definition)
	if err != nil {
		return nil, connect.NewError(codeOf(err), err)
	}
	return connect.NewResponse(&agentv1.PlanResponse{DomainXml: text, Warnings: warnings.Lines()}), nil
}

// ListForeign lists the domains that are not the cluster's.
func (s hostService) ListForeign(ctx context.Context, _ *connect.Request[agentv1.ListForeignRequest]) (*connect.Response[agentv1.ListForeignResponse], error) {
	domains, err := s.machines.Foreign(ctx)
	if err != nil {
		return nil, connect.NewError(codeOf(err), err)
	}
	answer := &agentv1.ListForeignResponse{}
	for _, d := range domains {
		answer.Domains = append(answer.Domains, &novacronv1.ForeignDomain{
			Id: d.ID, Name: d.Name, State: string(d.State), Arch: d.Arch, Machine: d.Machine,
			Cpus: uint32(d.CPUs), MemoryMb: uint64(d.MemoryMB), OtherCluster: d.OtherCluster, Macs: d.MACs,
		})
	}
	return connect.NewResponse(answer), nil
}

// GetGuest asks the agent in a guest.
func (s hostService) GetGuest(ctx context.Context, r *connect.Request[agentv1.GetGuestRequest]) (*connect.Response[agentv1.GetGuestResponse], error) {
	told, err := s.machines.Guest(ctx, r.Msg.GetVmId())
	if err != nil {
		return nil, connect.NewError(codeOf(err), err)
	}
	guest := &novacronv1.GetGuestResponse{AgentConnected: told.AgentConnected, Hostname: told.Hostname, Os: told.OS, Kernel: told.Kernel}
	for _, card := range told.Interfaces {
		guest.Interfaces = append(guest.Interfaces, &novacronv1.GuestInterface{Name: card.Name, Mac: card.MAC, Addresses: card.Addresses})
	}
	return connect.NewResponse(&agentv1.GetGuestResponse{Guest: guest}), nil
}

// Screenshot streams a picture, and what it is at the end.
func (s hostService) Screenshot(ctx context.Context, r *connect.Request[agentv1.ScreenshotRequest], stream *connect.ServerStream[agentv1.ScreenshotResponse]) error {
	mime, err := s.machines.Screenshot(ctx, r.Msg.GetVmId(), pictureWriter{stream})
	if err != nil {
		return connect.NewError(codeOf(err), err)
	}
	return stream.Send(&agentv1.ScreenshotResponse{MimeType: mime})
}

type pictureWriter struct {
	stream *connect.ServerStream[agentv1.ScreenshotResponse]
}

func (w pictureWriter) Write(data []byte) (int, error) {
	if err := w.stream.Send(&agentv1.ScreenshotResponse{Data: data}); err != nil {
		return 0, err
	}
	return len(data), nil
}
