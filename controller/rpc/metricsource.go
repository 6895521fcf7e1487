package rpc

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/state"
	"github.com/novacron/novacron/metric"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

type metricService struct{ *Server }

var _ novacronv1connect.MetricServiceHandler = (*metricService)(nil)

// CreateMetricSource fills in and checks the definition, seals the secret and commits the intent.
func (s *metricService) CreateMetricSource(ctx context.Context, r *connect.Request[novacronv1.CreateMetricSourceRequest]) (*connect.Response[novacronv1.CreateMetricSourceResponse], error) {
	source, err := s.putSource(ctx, r.Msg.GetSpec(), r.Msg.GetSecret(), &statev1.PutMetricSource{})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.CreateMetricSourceResponse{Source: source}), nil
}

// UpdateMetricSource does the same for a source that is there.
func (s *metricService) UpdateMetricSource(ctx context.Context, r *connect.Request[novacronv1.UpdateMetricSourceRequest]) (*connect.Response[novacronv1.UpdateMetricSourceResponse], error) {
	source, err := s.putSource(ctx, r.Msg.GetSpec(), r.Msg.GetSecret(), &statev1.PutMetricSource{Replace: true, Generation: r.Msg.GetGeneration()})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.UpdateMetricSourceResponse{Source: source}), nil
}

func (s *metricService) putSource(ctx context.Context, given *novacronv1.MetricSourceSpec, secret []byte, op *statev1.PutMetricSource) (*novacronv1.MetricSource, error) {
	if given == nil {
		return nil, invalid(errNoSpec)
	}
	op.Spec = metric.Normalise(given)
	if err := metric.Validate(op.Spec); err != nil {
		return nil, invalid(err)
	}
	if err := s.seal(op, secret); err != nil {
		return nil, err
	}
	value, err := s.propose(ctx, func(c *statev1.Command) { c.Op = &statev1.Command_PutMetricSource{PutMetricSource: op} })
	if err != nil {
		return nil, err
	}
	return value.(*novacronv1.MetricSource), nil
}

// seal makes of a secret what may be replicated. A definition that says sealed without one keeps what is there.
func (s *metricService) seal(op *statev1.PutMetricSource, secret []byte) error {
	credential, sealed, err := s.sealCredential(secretUse(op.GetSpec().GetName()), op.GetSpec().GetCredential(), secret, op.GetReplace())
	if err != nil {
		return err
	}
	op.Spec.Credential, op.Secret = credential, sealed
	return nil
}

// sealCredential gives the credential that says what it tells of a secret, and the secret as it may be replicated; both
// are as they were where none is given.
func (s *Server) sealCredential(use string, credential *novacronv1.MetricCredential, secret []byte, replace bool) (*novacronv1.MetricCredential, *statev1.SealedMetricSecret, error) {
	switch {
	case len(secret) == 0 && credential.GetSealed() != nil && !replace:
		return nil, nil, invalid(errors.New("secret: missing: give the secret that the credential shall be"))
	case len(secret) == 0:
		return credential, nil, nil
	case len(secret) > metric.MaxSecretBytes:
		return nil, nil, invalid(fmt.Errorf("secret: %d bytes, at most %d: give the key alone", len(secret), metric.MaxSecretBytes))
	case credential.GetFile() != "" || credential.GetEnvironment() != "":
		return nil, nil, invalid(errors.New("credential: a reference and a secret: give one of them"))
	}
	sealer, err := s.CA.Sealer()
	if err != nil {
		return nil, nil, err
	}
	sealed, err := sealer.Seal(use, secret)
	if err != nil {
		return nil, nil, err
	}
	told := &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_Sealed{
		Sealed: &novacronv1.SealedSecret{Fingerprint: sealer.Fingerprint(use, secret), KeyId: sealed.KeyID},
	}}
	return told, &statev1.SealedMetricSecret{KeyId: sealed.KeyID, Nonce: sealed.Nonce, Ciphertext: sealed.Ciphertext}, nil
}

// secretUse is what the secret of a source is bound to.
func secretUse(source string) string { return "metric source " + source }

func (s *Server) openSecret(record *statev1.MetricSourceRecord) ([]byte, error) {
	return s.openSealed(secretUse(record.GetSource().GetSpec().GetName()), record.GetSecret())
}

// GetMetricSource tells of a source and how it goes.
func (s *metricService) GetMetricSource(_ context.Context, r *connect.Request[novacronv1.GetMetricSourceRequest]) (*connect.Response[novacronv1.GetMetricSourceResponse], error) {
	record, ok := s.Store.View().MetricSource(r.Msg.GetName())
	if !ok {
		return nil, fmt.Errorf("%w: metric source %q: see «novacron metric source list»", state.ErrNotFound, r.Msg.GetName())
	}
	return connect.NewResponse(&novacronv1.GetMetricSourceResponse{Source: record.GetSource()}), nil
}

// ListMetricSources lists the sources by name.
func (s *metricService) ListMetricSources(_ context.Context, r *connect.Request[novacronv1.ListMetricSourcesRequest]) (*connect.Response[novacronv1.ListMetricSourcesResponse], error) {
	page, answer := newPage(r.Msg.GetPageSize()), &novacronv1.ListMetricSourcesResponse{}
	for name, record := range s.Store.View().MetricSources(r.Msg.GetPageToken()) {
		if page.full(len(answer.Sources)) {
			answer.NextPageToken = page.last
			break
		}
		page.last = name
		answer.Sources = append(answer.Sources, record.GetSource())
	}
	return connect.NewResponse(answer), nil
}

// DeleteMetricSource commits the wish.
func (s *metricService) DeleteMetricSource(ctx context.Context, r *connect.Request[novacronv1.DeleteMetricSourceRequest]) (*connect.Response[novacronv1.DeleteMetricSourceResponse], error) {
	_, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteMetricSource{DeleteMetricSource: &statev1.DeleteMetricSource{Name: r.Msg.GetName()}}
	})
	return connect.NewResponse(&novacronv1.DeleteMetricSourceResponse{}), err
}

// DefineMetric checks a definition and commits it.
func (s *metricService) DefineMetric(ctx context.Context, r *connect.Request[novacronv1.DefineMetricRequest]) (*connect.Response[novacronv1.DefineMetricResponse], error) {
	if err := metric.FromProto(r.Msg.GetDefinition()).Validate(); err != nil {
		return nil, invalid(err)
	}
	value, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_PutMetricDefinition{PutMetricDefinition: &statev1.PutMetricDefinition{Definition: r.Msg.GetDefinition()}}
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.DefineMetricResponse{Definition: value.(*novacronv1.MetricDefinition)}), nil
}

// ListMetricDefinitions lists the metrics of users by name.
func (s *metricService) ListMetricDefinitions(_ context.Context, r *connect.Request[novacronv1.ListMetricDefinitionsRequest]) (*connect.Response[novacronv1.ListMetricDefinitionsResponse], error) {
	page, answer := newPage(r.Msg.GetPageSize()), &novacronv1.ListMetricDefinitionsResponse{}
	for name, definition := range s.Store.View().MetricDefinitions(r.Msg.GetPageToken()) {
		if page.full(len(answer.Definitions)) {
			answer.NextPageToken = page.last
			break
		}
		page.last = name
		answer.Definitions = append(answer.Definitions, definition)
	}
	return connect.NewResponse(answer), nil
}

// DeleteMetricDefinition commits that a metric is no longer taken.
func (s *metricService) DeleteMetricDefinition(ctx context.Context, r *connect.Request[novacronv1.DeleteMetricDefinitionRequest]) (*connect.Response[novacronv1.DeleteMetricDefinitionResponse], error) {
	_, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteMetricDefinition{DeleteMetricDefinition: &statev1.DeleteMetricDefinition{Name: r.Msg.GetName()}}
	})
	return connect.NewResponse(&novacronv1.DeleteMetricDefinitionResponse{}), err
}
