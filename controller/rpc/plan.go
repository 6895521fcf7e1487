package rpc

import (
	"cmp"
	"context"
	"slices"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/placing"
	"github.com/novacron/novacron/controller/sched"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/ostype"
)

// PlanVM goes the way of a create up to where it would commit.
func (s *vmService) PlanVM(ctx context.Context, r *connect.Request[novacronv1.PlanVMRequest]) (*connect.Response[novacronv1.PlanVMResponse], error) {
	definition, err := s.define(ctx, r.Msg.GetSpec())
	if err != nil {
		return nil, err
	}
	if _, err := s.resolve(definition); err != nil {
		return nil, err
	}
	if _, err := s.connections(definition); err != nil {
		return nil, err
	}
	answer := &novacronv1.PlanVMResponse{Spec: vm.ToProto(definition), Warnings: warningsOf(definition)}
	view := s.Store.View()
	if existing, ok := view.VM(definition.Name, definition.Project); ok {
		answer.Existing = existing
		answer.Spec = vm.ToProto(vm.MarkDifferences(definition, vm.FromProto(existing.GetSpec())))
	}
	if err := view.Attachable(cmp.Or(answer.GetExisting().GetId(), definition.UUID), answer.GetSpec()); err != nil {
		return nil, err
	}
	planned := &novacronv1.VM{Id: definition.UUID, Spec: answer.GetSpec()}
	requests := []sched.Request{placing.RequestOf(view, planned)}
	decision := sched.Place(placing.HostsOf(view, requests), requests)[0]
	if decision.Host == "" {
		answer.Refusal = decision.Refusal.String()
		return connect.NewResponse(answer), nil
	}
	host, _ := view.Member(decision.Host)
	answer.Host = host.GetName()
	return connect.NewResponse(answer), s.planOn(ctx, host, answer, placing.WithPins(answer.GetSpec(), placing.HostCPUs(decision, &requests[0])))
}

// planOn asks the chosen host what it would make of the definition. The domain says of itself what the definition does, so
// the host is given the one without secrets.
func (s *vmService) planOn(ctx context.Context, host *novacronv1.Member, answer *novacronv1.PlanVMResponse, spec *novacronv1.VMSpec) error {
	ctx, cancel := context.WithTimeout(ctx, guestTimeout)
	defer cancel()
	told, err := s.hostAgent(host).Plan(ctx, connect.NewRequest(&agentv1.PlanRequest{Spec: vm.HideSecrets(spec)}))
	if err != nil {
		return unreachable(host, err)
	}
	answer.DomainXml, answer.Refusal = told.Msg.GetDomainXml(), told.Msg.GetRefusal()
	for _, warning := range told.Msg.GetWarnings() {
		if !slices.Contains(answer.Warnings, warning) {
			answer.Warnings = append(answer.Warnings, warning)
		}
	}
	return nil
}

// warningsOf is what is unusual about a definition, in words.
func warningsOf(definition vm.Definition) []string {
	return vm.Warn(definition, ostype.Builtin()).Lines()
}
