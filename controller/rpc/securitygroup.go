package rpc

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/vm/network"
)

type securityGroupService struct{ *Server }

var _ novacronv1connect.SecurityGroupServiceHandler = (*securityGroupService)(nil)

func (s *securityGroupService) CreateSecurityGroup(ctx context.Context, r *connect.Request[novacronv1.CreateSecurityGroupRequest]) (*connect.Response[novacronv1.CreateSecurityGroupResponse], error) {
	group, err := s.put(ctx, r.Msg.GetSpec(), false)
	return connect.NewResponse(&novacronv1.CreateSecurityGroupResponse{Group: group}), err
}

func (s *securityGroupService) UpdateSecurityGroup(ctx context.Context, r *connect.Request[novacronv1.UpdateSecurityGroupRequest]) (*connect.Response[novacronv1.UpdateSecurityGroupResponse], error) {
	group, err := s.put(ctx, r.Msg.GetSpec(), true)
	return connect.NewResponse(&novacronv1.UpdateSecurityGroupResponse{Group: group}), err
}

// put fills in and checks the rules, once, and commits them.
func (s *securityGroupService) put(ctx context.Context, given *novacronv1.SecurityGroupSpec, replace bool) (*novacronv1.SecurityGroup, error) {
	if given == nil {
		return nil, invalid(errNoSpec)
	}
	spec := network.NormaliseGroup(given)
	if err := network.ValidateGroup(spec); err != nil {
		return nil, invalid(err)
	}
	value, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_PutSecurityGroup{PutSecurityGroup: &statev1.PutSecurityGroup{Spec: spec, Replace: replace}}
	})
	if err != nil {
		return nil, err
	}
	return value.(*novacronv1.SecurityGroup), nil
}

func (s *securityGroupService) GetSecurityGroup(_ context.Context, r *connect.Request[novacronv1.GetSecurityGroupRequest]) (*connect.Response[novacronv1.GetSecurityGroupResponse], error) {
	view := s.Store.View()
	group, ok := view.SecurityGroup(r.Msg.GetName())
	if !ok {
		return nil, fmt.Errorf("%w: security group %q: see «novacron security-group list»", state.ErrNotFound, r.Msg.GetName())
	}
	answer := &novacronv1.GetSecurityGroupResponse{Group: group}
	for _, record := range view.VMsByName("") {
		for _, nic := range record.GetSpec().GetNetworkInterfaces() {
			if nic.GetSecurityGroup() == r.Msg.GetName() {
				answer.Vms = append(answer.Vms, record.GetSpec().GetName())
				break
			}
		}
	}
	return connect.NewResponse(answer), nil
}

func (s *securityGroupService) ListSecurityGroups(_ context.Context, r *connect.Request[novacronv1.ListSecurityGroupsRequest]) (*connect.Response[novacronv1.ListSecurityGroupsResponse], error) {
	page, answer := newPage(r.Msg.GetPageSize()), &novacronv1.ListSecurityGroupsResponse{}
	for name, group := range s.Store.View().SecurityGroups(r.Msg.GetPageToken()) {
		if page.full(len(answer.Groups)) {
			answer.NextPageToken = page.last
			break
		}
		page.last = name
		answer.Groups = append(answer.Groups, group)
	}
	return connect.NewResponse(answer), nil
}

func (s *securityGroupService) DeleteSecurityGroup(ctx context.Context, r *connect.Request[novacronv1.DeleteSecurityGroupRequest]) (*connect.Response[novacronv1.DeleteSecurityGroupResponse], error) {
	_, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteSecurityGroup{DeleteSecurityGroup: &statev1.DeleteSecurityGroup{Name: r.Msg.GetName()}}
	})
	return connect.NewResponse(&novacronv1.DeleteSecurityGroupResponse{}), err
}
