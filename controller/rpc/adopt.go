package rpc

import (
	"context"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/vm"
)

func (s *Server) hostAgent(host *novacronv1.Member) agentv1connect.HostAgentServiceClient {
	return agentv1connect.NewHostAgentServiceClient(s.Peers, memberURL(host.GetApiAddress()), connect.WithReadMaxBytes(node.MaxMessageBytes))
}

// foreign asks a host for the domains that are not the cluster's.
func (s *Server) foreign(ctx context.Context, idOrName string) (*novacronv1.Member, []*novacronv1.ForeignDomain, error) {
	view := s.Store.View()
	host, ok := view.Host(idOrName)
	if !ok {
		return nil, nil, fmt.Errorf("%w: host %q: see «novacron host list»", state.ErrNotFound, idOrName)
	}
	member, _ := view.Member(host.GetId())
	ctx, cancel := context.WithTimeout(ctx, guestTimeout)
	defer cancel()
	answer, err := s.hostAgent(member).ListForeign(ctx, connect.NewRequest(&agentv1.ListForeignRequest{}))
	if err != nil {
		return nil, nil, unreachable(member, err)
	}
	return member, answer.Msg.GetDomains(), nil
}

// ListForeignDomains passes the question to the host.
func (s *hostService) ListForeignDomains(ctx context.Context, r *connect.Request[novacronv1.ListForeignDomainsRequest]) (*connect.Response[novacronv1.ListForeignDomainsResponse], error) {
	_, domains, err := s.foreign(ctx, r.Msg.GetHost())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.ListForeignDomainsResponse{Domains: domains}), nil
}

// AdoptVM records a foreign domain as a machine of the cluster; its host then marks it.
func (s *vmService) AdoptVM(ctx context.Context, r *connect.Request[novacronv1.AdoptVMRequest]) (*connect.Response[novacronv1.AdoptVMResponse], error) {
	host, domains, err := s.foreign(ctx, r.Msg.GetHost())
	if err != nil {
		return nil, err
	}
	for _, domain := range domains {
		if domain.GetId() == r.Msg.GetDomain() || domain.GetName() == r.Msg.GetDomain() {
			adopted, err := s.adopt(ctx, host, domain, r.Msg.GetProject())
			return connect.NewResponse(&novacronv1.AdoptVMResponse{Vm: adopted}), err
		}
	}
	return nil, fmt.Errorf("%w: domain %q on host %s: see «novacron host foreign %s»; what the cluster has already needs no adoption",
		state.ErrNotFound, r.Msg.GetDomain(), host.GetName(), host.GetName())
}

func (s *vmService) adopt(ctx context.Context, host *novacronv1.Member, domain *novacronv1.ForeignDomain, project string) (*novacronv1.VM, error) {
	if domain.GetOtherCluster() {
		return nil, fmt.Errorf("%w: domain %s belongs to another cluster: remove it there first", state.ErrRefused, domain.GetName())
	}
	definition := adoptedDefinition(domain, project)
	if err := vm.Validate(definition); err != nil {
		return nil, invalid(fmt.Errorf("domain %s cannot be adopted as it is: %w", domain.GetName(), err))
	}
	power := novacronv1.PowerState_POWER_STATE_STOPPED
	if domain.GetState() == "running" {
		power = novacronv1.PowerState_POWER_STATE_RUNNING
	}
	return s.proposeVM(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_AdoptVm{AdoptVm: &statev1.AdoptVM{
			Id: domain.GetId(), Spec: vm.ToProto(definition), HostId: host.GetId(), OperationId: s.NewID(), Power: power, Macs: lower(domain.GetMacs()),
		}}
	})
}

// lower spells addresses as definitions do.
func lower(macs []string) (all []string) {
	for _, mac := range macs {
		all = append(all, strings.ToLower(mac))
	}
	return all
}

// adoptedDefinition holds what the cluster keeps account of, and no policy: who ran the domain so far decided when it runs.
func adoptedDefinition(domain *novacronv1.ForeignDomain, project string) vm.Definition {
	never := false
	return vm.Normalise(vm.Definition{
		Name: domain.GetName(), Project: project, UUID: domain.GetId(), Arch: domain.GetArch(), Machine: domain.GetMachine(),
		CPUs: int(domain.GetCpus()), MemoryMB: int(domain.GetMemoryMb()), Autostart: &never, RestartPolicy: vm.RestartNever,
	}, vm.Defaults{})
}
