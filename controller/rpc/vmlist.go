package rpc

import (
	"context"

	"connectrpc.com/connect"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm/selector"
)

func (s *vmService) ListVMs(_ context.Context, r *connect.Request[novacronv1.ListVMsRequest]) (*connect.Response[novacronv1.ListVMsResponse], error) {
	wanted, err := vmSearch(r.Msg)
	if err != nil {
		return nil, invalid(err)
	}
	view, page := s.Store.View(), newPage(r.Msg.GetPageSize())
	answer := &novacronv1.ListVMsResponse{}
	for key, record := range view.VMsByName(r.Msg.GetPageToken()) {
		if !wanted(record) {
			continue
		}
		if page.full(len(answer.Vms)) {
			answer.NextPageToken = page.last
			break
		}
		page.last = key
		answer.Vms = append(answer.Vms, record)
	}
	return connect.NewResponse(answer), nil
}

// vmSearch tells what a list asks for.
func vmSearch(want *novacronv1.ListVMsRequest) (func(*novacronv1.VM) bool, error) {
	labels, err := selector.Parse(want.GetLabelSelector())
	if err != nil {
		return nil, err
	}
	annotations, err := selector.Parse(want.GetAnnotationSelector())
	if err != nil {
		return nil, err
	}
	labels = selector.And(labels, selector.Equal(want.GetLabels()))
	return func(record *novacronv1.VM) bool {
		spec := record.GetSpec()
		return (want.GetProject() == "" || want.GetProject() == spec.GetProject()) &&
			(want.GetHost() == "" || want.GetHost() == record.GetHostId() || want.GetHost() == record.GetHostName()) &&
			labels.Matches(spec.GetLabels()) && annotations.Matches(spec.GetAnnotations())
	}, nil
}
