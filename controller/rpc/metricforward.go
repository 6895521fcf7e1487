package rpc

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller/state"
	"github.com/novacron/novacron/metric"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/tsdb/query"
	"github.com/novacron/novacron/vm"
)

type forwardService struct{ *Server }

var _ novacronv1connect.MetricForwardServiceHandler = (*forwardService)(nil)

// CreateMetricForward fills in and checks the definition, seals the secret and commits the intent.
func (s *forwardService) CreateMetricForward(ctx context.Context, r *connect.Request[novacronv1.CreateMetricForwardRequest]) (*connect.Response[novacronv1.CreateMetricForwardResponse], error) {
	forward, err := s.put(ctx, r.Msg.GetSpec(), r.Msg.GetSecret(), &statev1.PutMetricForward{})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.CreateMetricForwardResponse{Forward: s.withHosts(forward)}), nil
}

// UpdateMetricForward does the same for a forward that is there.
func (s *forwardService) UpdateMetricForward(ctx context.Context, r *connect.Request[novacronv1.UpdateMetricForwardRequest]) (*connect.Response[novacronv1.UpdateMetricForwardResponse], error) {
	forward, err := s.put(ctx, r.Msg.GetSpec(), r.Msg.GetSecret(), &statev1.PutMetricForward{Replace: true, Generation: r.Msg.GetGeneration()})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.UpdateMetricForwardResponse{Forward: s.withHosts(forward)}), nil
}

func (s *forwardService) put(ctx context.Context, given *novacronv1.MetricForwardSpec, secret []byte, op *statev1.PutMetricForward) (*novacronv1.MetricForward, error) {
	if given == nil {
		return nil, invalid(errNoSpec)
	}
	op.Spec = metric.NormaliseForward(given, s.Store.View().ClusterID())
	if err := errors.Join(metric.ValidateForward(op.Spec), checkSelectors(op.GetSpec().GetMatch())); err != nil {
		return nil, invalid(err)
	}
	if err := s.seal(op, secret); err != nil {
		return nil, err
	}
	value, err := s.propose(ctx, func(c *statev1.Command) { c.Op = &statev1.Command_PutMetricForward{PutMetricForward: op} })
	if err != nil {
		return nil, err
	}
	return value.(*novacronv1.MetricForward), nil
}

// checkSelectors tells which selectors are none; the error is vm.Faults.
func checkSelectors(match []string) error {
	var faults vm.Faults
	for i, text := range match {
		if _, err := query.ParseSelector(text); err != nil {
			faults = append(faults, vm.Fault{
				Path: fmt.Sprintf("match[%d]", i), Value: fmt.Sprintf("%.200q", text), Limit: "a selector of series in PromQL: " + err.Error(), WayOut: "write it such as vm_state or {__name__=~\"vm_.*\"}",
			})
		}
	}
	return faults.Err()
}

// seal makes of a secret what may be replicated. A definition that says sealed without one keeps what is there.
func (s *forwardService) seal(op *statev1.PutMetricForward, secret []byte) error {
	credential, sealed, err := s.sealCredential(forwardSecretUse(op.GetSpec().GetName()), op.GetSpec().GetCredential(), secret, op.GetReplace())
	if err != nil {
		return err
	}
	op.Spec.Credential, op.Secret = credential, sealed
	return nil
}

// forwardSecretUse is what the secret of a forward is bound to.
func forwardSecretUse(forward string) string { return "metric forward " + forward }

func (s *Server) openForwardSecret(record *statev1.MetricForwardRecord) ([]byte, error) {
	return s.openSealed(forwardSecretUse(record.GetForward().GetSpec().GetName()), record.GetSecret())
}

func (s *Server) openSealed(use string, secret *statev1.SealedMetricSecret) ([]byte, error) {
	sealer, err := s.CA.Sealer()
	if err != nil {
		return nil, err
	}
	return sealer.Open(use, pki.Sealed{KeyID: secret.GetKeyId(), Nonce: secret.GetNonce(), Ciphertext: secret.GetCiphertext()})
}

// GetMetricForward tells of a forward and how it goes on the hosts.
func (s *forwardService) GetMetricForward(_ context.Context, r *connect.Request[novacronv1.GetMetricForwardRequest]) (*connect.Response[novacronv1.GetMetricForwardResponse], error) {
	record, ok := s.Store.View().MetricForward(r.Msg.GetName())
	if !ok {
		return nil, fmt.Errorf("%w: metric forward %q: see «novacron metric forward list»", state.ErrNotFound, r.Msg.GetName())
	}
	return connect.NewResponse(&novacronv1.GetMetricForwardResponse{Forward: s.withHosts(record.GetForward())}), nil
}

// ListMetricForwards lists the forwards by name.
func (s *forwardService) ListMetricForwards(_ context.Context, r *connect.Request[novacronv1.ListMetricForwardsRequest]) (*connect.Response[novacronv1.ListMetricForwardsResponse], error) {
	page, answer := newPage(r.Msg.GetPageSize()), &novacronv1.ListMetricForwardsResponse{}
	for name, record := range s.Store.View().MetricForwards(r.Msg.GetPageToken()) {
		if page.full(len(answer.Forwards)) {
			answer.NextPageToken = page.last
			break
		}
		page.last = name
		answer.Forwards = append(answer.Forwards, s.withHosts(record.GetForward()))
	}
	return connect.NewResponse(answer), nil
}

// DeleteMetricForward commits the wish.
func (s *forwardService) DeleteMetricForward(ctx context.Context, r *connect.Request[novacronv1.DeleteMetricForwardRequest]) (*connect.Response[novacronv1.DeleteMetricForwardResponse], error) {
	_, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteMetricForward{DeleteMetricForward: &statev1.DeleteMetricForward{Name: r.Msg.GetName()}}
	})
	return connect.NewResponse(&novacronv1.DeleteMetricForwardResponse{}), err
}
