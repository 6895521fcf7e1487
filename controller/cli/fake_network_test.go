package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	api "github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	"github.com/novacron/novacron/vm/network"
)

// fakeNetworks are the networks and security groups of the fake cluster.
type fakeNetworks struct {
	api.UnimplementedNetworkServiceHandler
	api.UnimplementedSecurityGroupServiceHandler

	networks map[string]*pb.Network
	groups   map[string]*pb.SecurityGroup
}

func newFakeNetworks() *fakeNetworks {
	return &fakeNetworks{networks: map[string]*pb.Network{}, groups: map[string]*pb.SecurityGroup{}}
}

func missing(what, name string) error {
	return connect.NewError(connect.CodeNotFound, fmt.Errorf("%s %q does not exist", what, name))
}

func (f *fakeNetworks) CreateNetwork(_ context.Context, r *connect.Request[pb.CreateNetworkRequest]) (*connect.Response[pb.CreateNetworkResponse], error) {
	if err := network.Validate(r.Msg.GetSpec()); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	made := &pb.Network{Spec: network.Normalise(r.Msg.GetSpec()), CreateTime: ago(0)}
	f.networks[made.GetSpec().GetName()] = made
	return connect.NewResponse(&pb.CreateNetworkResponse{Network: made}), nil
}

func (f *fakeNetworks) GetNetwork(_ context.Context, r *connect.Request[pb.GetNetworkRequest]) (*connect.Response[pb.GetNetworkResponse], error) {
	found := f.networks[r.Msg.GetName()]
	if found == nil {
		return nil, missing("network", r.Msg.GetName())
	}
	return connect.NewResponse(&pb.GetNetworkResponse{
		Network: found, Hosts: []*pb.NetworkHost{{Host: "kvm-1", Active: true}, {Host: "kvm-2", Message: "the host has another network lan"}, {Host: "kvm-3"}},
		Addresses: []*pb.NetworkAddress{{VmName: "web-1", Mac: "52:54:00:00:00:01", Address: "10.20.0.2"}, {VmName: "web-2", Mac: "52:54:00:00:00:02"}},
	}), nil
}

func (f *fakeNetworks) ListNetworks(context.Context, *connect.Request[pb.ListNetworksRequest]) (*connect.Response[pb.ListNetworksResponse], error) {
	answer := &pb.ListNetworksResponse{}
	for _, name := range slices.Sorted(maps.Keys(f.networks)) {
		answer.Networks = append(answer.Networks, f.networks[name])
	}
	return connect.NewResponse(answer), nil
}

func (f *fakeNetworks) DeleteNetwork(_ context.Context, r *connect.Request[pb.DeleteNetworkRequest]) (*connect.Response[pb.DeleteNetworkResponse], error) {
	if f.networks[r.Msg.GetName()] == nil {
		return nil, missing("network", r.Msg.GetName())
	}
	delete(f.networks, r.Msg.GetName())
	return connect.NewResponse(&pb.DeleteNetworkResponse{}), nil
}

func (f *fakeNetworks) put(given *pb.SecurityGroupSpec) (*pb.SecurityGroup, error) {
	spec := network.NormaliseGroup(given)
	if err := network.ValidateGroup(spec); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	group := &pb.SecurityGroup{Spec: spec, CreateTime: ago(0)}
	f.groups[spec.GetName()] = group
	return group, nil
}

func (f *fakeNetworks) CreateSecurityGroup(_ context.Context, r *connect.Request[pb.CreateSecurityGroupRequest]) (*connect.Response[pb.CreateSecurityGroupResponse], error) {
	group, err := f.put(r.Msg.GetSpec())
	return connect.NewResponse(&pb.CreateSecurityGroupResponse{Group: group}), err
}

func (f *fakeNetworks) UpdateSecurityGroup(_ context.Context, r *connect.Request[pb.UpdateSecurityGroupRequest]) (*connect.Response[pb.UpdateSecurityGroupResponse], error) {
	if f.groups[r.Msg.GetSpec().GetName()] == nil {
		return nil, missing("security group", r.Msg.GetSpec().GetName())
	}
	group, err := f.put(r.Msg.GetSpec())
	return connect.NewResponse(&pb.UpdateSecurityGroupResponse{Group: group}), err
}

func (f *fakeNetworks) GetSecurityGroup(_ context.Context, r *connect.Request[pb.GetSecurityGroupRequest]) (*connect.Response[pb.GetSecurityGroupResponse], error) {
	group := f.groups[r.Msg.GetName()]
	if group == nil {
		return nil, missing("security group", r.Msg.GetName())
	}
	return connect.NewResponse(&pb.GetSecurityGroupResponse{Group: group, Vms: []string{"web-1", "web-2"}}), nil
}

func (f *fakeNetworks) ListSecurityGroups(context.Context, *connect.Request[pb.ListSecurityGroupsRequest]) (*connect.Response[pb.ListSecurityGroupsResponse], error) {
	answer := &pb.ListSecurityGroupsResponse{}
	for _, name := range slices.Sorted(maps.Keys(f.groups)) {
		answer.Groups = append(answer.Groups, f.groups[name])
	}
	return connect.NewResponse(answer), nil
}

func (f *fakeNetworks) DeleteSecurityGroup(_ context.Context, r *connect.Request[pb.DeleteSecurityGroupRequest]) (*connect.Response[pb.DeleteSecurityGroupResponse], error) {
	if f.groups[r.Msg.GetName()] == nil {
		return nil, missing("security group", r.Msg.GetName())
	}
	delete(f.groups, r.Msg.GetName())
	return connect.NewResponse(&pb.DeleteSecurityGroupResponse{}), nil
}
