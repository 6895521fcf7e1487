package rpc

import (
	"context"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/placing"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

type hostService struct{ *Server }

var _ novacronv1connect.HostServiceHandler = (*hostService)(nil)

func (s *hostService) GetHost(_ context.Context, r *connect.Request[novacronv1.GetHostRequest]) (*connect.Response[novacronv1.GetHostResponse], error) {
	view := s.Store.View()
	host, err := hostIn(view, r.Msg.GetHost())
	if err != nil {
		return nil, err
	}
	host.CpuBaseline = baselineFor(view, host.GetId())
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
