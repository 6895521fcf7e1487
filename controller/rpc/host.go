package rpc

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/placing"
	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

type hostService struct{ *Server }

var _ novacronv1connect.HostServiceHandler = (*hostService)(nil)

func (s *hostService) GetHost(_ context.Context, r *connect.Request[novacronv1.GetHostRequest]) (*connect.Response[novacronv1.GetHostResponse], error) {
	host, ok := s.Store.View().Host(r.Msg.GetHost())
	if !ok {
		return nil, fmt.Errorf("%w: host %q: see «novacron host list»", state.ErrNotFound, r.Msg.GetHost())
	}
	host.CpuBaseline = baselineFor(s.Store.View(), host.GetId())
	return connect.NewResponse(&novacronv1.GetHostResponse{Host: host}), nil
}

func (s *hostService) ListHosts(_ context.Context, r *connect.Request[novacronv1.ListHostsRequest]) (*connect.Response[novacronv1.ListHostsResponse], error) {
	page, answer := newPage(r.Msg.GetPageSize()), &novacronv1.ListHostsResponse{}
	view := s.Store.View()
	baselines := placing.CPUBaselines(view)
	for id, host := range view.Hosts(r.Msg.GetPageToken()) {
		if page.full(len(answer.Hosts)) {
			answer.NextPageToken = page.last
			break
		}
		page.last = id
		host.CpuBaseline = baselines[host.GetInfo().GetArch()]
		answer.Hosts = append(answer.Hosts, host)
	}
	return connect.NewResponse(answer), nil
}
