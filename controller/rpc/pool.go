package rpc

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// oneHost finds the host that a request must name, and that must be up.
func (s *storageService) oneHost(name string) (*novacronv1.Host, error) {
	if name == "" {
		return nil, invalid(errors.New("host: name the host that has the pool"))
	}
	hosts, err := s.hosts(name)
	if err != nil {
		return nil, err
	}
	if state := hosts[0].GetState(); state != novacronv1.HostState_HOST_STATE_UP {
		return nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf("host %s is %s: bring it up first", hosts[0].GetName(), state))
	}
	return hosts[0], nil
}

// CreatePool has a host attach a pool.
func (s *storageService) CreatePool(ctx context.Context, r *connect.Request[novacronv1.CreatePoolRequest]) (*connect.Response[novacronv1.CreatePoolResponse], error) {
	host, err := s.oneHost(r.Msg.GetHost())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	_, err = s.agent(host).CreatePool(ctx, connect.NewRequest(&agentv1.CreatePoolRequest{Pool: r.Msg.GetPool()}))
	return connect.NewResponse(&novacronv1.CreatePoolResponse{}), err
}

// DeletePool has a host detach a pool, unless the cluster has a volume there.
func (s *storageService) DeletePool(ctx context.Context, r *connect.Request[novacronv1.DeletePoolRequest]) (*connect.Response[novacronv1.DeletePoolResponse], error) {
	host, err := s.oneHost(r.Msg.GetHost())
	if err != nil {
		return nil, err
	}
	for volume := range s.Store.View().VolumesOf(host.GetId()) {
		if volume.GetSpec().GetPool() == r.Msg.GetName() {
			return nil, fmt.Errorf("%w: pool %s of host %s holds volume %s of project %s: delete that first",
				state.ErrRefused, r.Msg.GetName(), host.GetName(), volume.GetSpec().GetName(), volume.GetSpec().GetProject())
		}
	}
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	_, err = s.agent(host).DeletePool(ctx, connect.NewRequest(&agentv1.DeletePoolRequest{Name: r.Msg.GetName()}))
	return connect.NewResponse(&novacronv1.DeletePoolResponse{}), err
}
