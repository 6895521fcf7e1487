package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/network"
)

type networkService struct{ *Server }

var _ novacronv1connect.NetworkServiceHandler = (*networkService)(nil)

var errNoSpec = errors.New("spec: missing: say what it shall be")

// CreateNetwork fills in and checks the definition, once, and commits the intent.
func (s *networkService) CreateNetwork(ctx context.Context, r *connect.Request[novacronv1.CreateNetworkRequest]) (*connect.Response[novacronv1.CreateNetworkResponse], error) {
	if r.Msg.GetSpec() == nil {
		return nil, invalid(errNoSpec)
	}
	if err := network.Validate(r.Msg.GetSpec()); err != nil {
		return nil, invalid(err)
	}
	spec := network.Normalise(r.Msg.GetSpec())
	if err := network.Validate(spec); err != nil {
		return nil, invalid(err)
	}
	value, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_PutNetwork{PutNetwork: &statev1.PutNetwork{Spec: spec}}
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.CreateNetworkResponse{Network: value.(*novacronv1.Network)}), nil
}

// GetNetwork tells of a network, what became of it on the hosts, and who is on it.
func (s *networkService) GetNetwork(_ context.Context, r *connect.Request[novacronv1.GetNetworkRequest]) (*connect.Response[novacronv1.GetNetworkResponse], error) {
	view, name := s.Store.View(), r.Msg.GetName()
	found, ok := view.Network(name)
	if !ok {
		return nil, fmt.Errorf("%w: network %q: see «novacron network list»", state.ErrNotFound, name)
	}
	return connect.NewResponse(&novacronv1.GetNetworkResponse{
		Network: found, Hosts: hostsOf(view, found.GetSpec()), Addresses: addressesOn(view, name),
	}), nil
}

func hostsOf(view state.View, spec *novacronv1.NetworkSpec) (hosts []*novacronv1.NetworkHost) {
	for _, host := range view.Hosts("") {
		info := host.GetInfo()
		fault := info.GetNetworkFaults()["network/"+spec.GetName()]
		if !network.Wants(spec, info.GetLabels()) && fault == "" {
			continue
		}
		active := slices.Contains(info.GetNetworks(), spec.GetName()) && fault == ""
		hosts = append(hosts, &novacronv1.NetworkHost{Host: host.GetName(), Active: active, Message: fault})
	}
	return hosts
}

func addressesOn(view state.View, name string) (addresses []*novacronv1.NetworkAddress) {
	for _, record := range view.VMsByName("") {
		for _, nic := range record.GetSpec().GetNetworkInterfaces() {
			if nic.GetNetwork() == name {
				addresses = append(addresses, &novacronv1.NetworkAddress{
					VmId: record.GetId(), VmName: record.GetSpec().GetName(), Mac: nic.GetMac(), Address: nic.GetAddress(),
				})
			}
		}
	}
	return addresses
}

func (s *networkService) ListNetworks(_ context.Context, r *connect.Request[novacronv1.ListNetworksRequest]) (*connect.Response[novacronv1.ListNetworksResponse], error) {
	page, answer := newPage(r.Msg.GetPageSize()), &novacronv1.ListNetworksResponse{}
	for name, found := range s.Store.View().Networks(r.Msg.GetPageToken()) {
		if page.full(len(answer.Networks)) {
			answer.NextPageToken = page.last
			break
		}
		page.last = name
		answer.Networks = append(answer.Networks, found)
	}
	return connect.NewResponse(answer), nil
}

func (s *networkService) DeleteNetwork(ctx context.Context, r *connect.Request[novacronv1.DeleteNetworkRequest]) (*connect.Response[novacronv1.DeleteNetworkResponse], error) {
	_, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteNetwork{DeleteNetwork: &statev1.DeleteNetwork{Name: r.Msg.GetName()}}
	})
	return connect.NewResponse(&novacronv1.DeleteNetworkResponse{}), err
}

// connections checks what a definition's cards ask of the cluster's networks, and gives the security groups they name.
func (s *vmService) connections(definition vm.Definition) (groups []string, err error) {
	view := s.Store.View()
	var faults vm.Faults
	for i, nic := range definition.NetworkInterfaces {
		path := fmt.Sprintf("networkInterfaces[%d]", i)
		if on, ok := view.Network(nic.Network); ok && nic.Address != "" {
			var wrong vm.Faults
			errors.As(network.CheckAddress(path+".address", on.GetSpec(), nic.Address), &wrong)
			faults = append(faults, wrong...)
		}
		_, ok := view.SecurityGroup(nic.SecurityGroup)
		switch {
		case ok:
			groups = append(groups, nic.SecurityGroup)
		case nic.SecurityGroup != "" && !slices.Contains(network.BuiltIn(), nic.SecurityGroup):
			faults = append(faults, vm.Fault{
				Path: path + ".securityGroup", Value: fmt.Sprintf("%q", nic.SecurityGroup), Limit: "a security group of the cluster, or a filter of libvirt such as clean-traffic",
				WayOut: "choose one of «novacron security-group list», or create it",
			})
		}
	}
	if len(faults) > 0 {
		return nil, invalid(faults)
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// networksFor is everything about networks that a host shall have; nil while nothing is known of the host.
func networksFor(view state.View, hostID string) *agentv1.NetworkSet {
	host, ok := view.Host(hostID)
	if !ok || host.GetInfo() == nil {
		return nil
	}
	set := &agentv1.NetworkSet{}
	for _, found := range view.Networks("") {
		if network.Wants(found.GetSpec(), host.GetInfo().GetLabels()) {
			set.Networks = append(set.Networks, found)
		}
	}
	used := map[string]bool{}
	for record := range view.VMsOf(hostID) {
		for _, nic := range record.GetSpec().GetNetworkInterfaces() {
			used[nic.GetSecurityGroup()] = true
		}
	}
	for name, group := range view.SecurityGroups("") {
		if used[name] {
			set.SecurityGroups = append(set.SecurityGroups, group)
		}
	}
	return set
}

// concernsNetworks tells whether a change alters which networks a host shall have, or what they are.
func concernsNetworks(change state.Change, hostID string) bool {
	switch record := change.Record().(type) {
	case *novacronv1.Network, *novacronv1.SecurityGroup:
		return true
	case *statev1.HostRecord:
		before, _ := change.Before.(*statev1.HostRecord)
		labels := func(r *statev1.HostRecord) *novacronv1.HostInfo {
			return &novacronv1.HostInfo{Labels: r.GetInfo().GetLabels()}
		}
		known := before.GetInfo() != nil
		return record.GetId() == hostID && (known != (record.GetInfo() != nil) || !proto.Equal(labels(before), labels(record)))
	}
	return false
}
