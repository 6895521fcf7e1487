package rpc

import (
	"context"

	"connectrpc.com/connect"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

type hostService struct{ *Server }

var _ novacronv1connect.HostServiceHandler = (*hostService)(nil)

func (s *hostService) GetHost(_ context.Context, r *connect.Request[novacronv1.GetHostRequest]) (*connect.Response[novacronv1.GetHostResponse], error) {
	host, err := hostIn(s.Store.View(), r.Msg.GetHost())
	return connect.NewResponse(&novacronv1.GetHostResponse{Host: host}), err
}

func (s *hostService) ListHosts(_ context.Context, r *connect.Request[novacronv1.ListHostsRequest]) (*connect.Response[novacronv1.ListHostsResponse], error) {
	page, answer := newPage(r.Msg.GetPageSize()), &novacronv1.ListHostsResponse{}
	for id, host := range s.Store.View().Hosts(r.Msg.GetPageToken()) {
		if page.full(len(answer.Hosts)) {
			answer.NextPageToken = page.last
			break
		}
		page.last = id
		answer.Hosts = append(answer.Hosts, host)
	}
	return connect.NewResponse(answer), nil
}
