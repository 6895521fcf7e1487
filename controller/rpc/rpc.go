// Package rpc serves the cluster's API on a controller: who may call what, where it is answered, and the handlers, one file a service.
package rpc

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/cluster/blob"
	"github.com/novacron/novacron/cluster/blob/peer"
	"github.com/novacron/novacron/cluster/consensus"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// Consensus is what the handlers need of the replicated log.
type Consensus interface {
	Propose(ctx context.Context, command []byte) (result any, index uint64, err error)
	ReadIndex(ctx context.Context) error
	WaitApplied(ctx context.Context, index uint64) error
	IsLeader() bool
	Leader() (id, addr string)
	Servers() ([]consensus.Server, error)
	Stats() consensus.Stats
	TransferLeadership(ctx context.Context, toID string) error
	Backup(ctx context.Context, w io.Writer) error
	Restore(ctx context.Context, r io.Reader) error
}

// Beats takes note of heartbeats; the liveness loop reads them.
type Beats interface {
	Beat(hostID string, at time.Time)
}

// Series takes note of how many series hosts have; the loop that divides the cluster's limit reads it.
type Series interface {
	Tell(hostID string, told *agentv1.MetricUsage, at time.Time)
	Active(hostID string) (uint64, bool)
}

// Server holds what the handlers share.
type Server struct {
	Self        pki.Identity
	Version     string
	Store       *state.Store
	Consensus   Consensus
	Credentials *pki.Credentials
	CA          *pki.CA
	Blobs       *blob.Store
	Beats       Beats
	Series      Series
	Metrics     Metrics
	// Gossip tells what gossip says of a member: "alive", "failed", "left" or "unknown".
	Gossip func(memberID string) string
	// Peers dials members of any node role.
	Peers  *http.Client
	Logger *slog.Logger
	Now    func() time.Time
	NewID  func() string
	NewMAC func() string
	// Throttle slows down who guesses join tokens.
	Throttle *pki.Throttle
	forwards forwardReports
}

// reportInterval is how often agents report when nothing changes.
const reportInterval = 5 * time.Second

// Handler is the whole API: identity, then authority, then the place to answer, then the answer.
func (s *Server) Handler() http.Handler {
	options := connect.WithHandlerOptions(
		connect.WithReadMaxBytes(node.MaxMessageBytes),
		connect.WithSendMaxBytes(node.MaxMessageBytes),
		connect.WithInterceptors(&errorInterceptor{}, secretKeeper{s}),
		connect.WithRecover(s.recovered),
	)
	mux := http.NewServeMux()
	for _, mount := range []func() (string, http.Handler){
		func() (string, http.Handler) { return novacronv1connect.NewVMServiceHandler(&vmService{s}, options) },
		func() (string, http.Handler) {
			return novacronv1connect.NewImageServiceHandler(&imageService{s}, options)
		},
		func() (string, http.Handler) {
			return novacronv1connect.NewNetworkServiceHandler(&networkService{s}, options)
		},
		func() (string, http.Handler) {
			return novacronv1connect.NewSecurityGroupServiceHandler(&securityGroupService{s}, options)
		},
		func() (string, http.Handler) {
			return novacronv1connect.NewHostServiceHandler(&hostService{s}, options)
		},
		func() (string, http.Handler) {
			return novacronv1connect.NewClusterServiceHandler(&clusterService{s}, options)
		},
		func() (string, http.Handler) {
			return novacronv1connect.NewTemplateServiceHandler(&templateService{s}, options)
		},
		func() (string, http.Handler) {
			return novacronv1connect.NewStorageServiceHandler(&storageService{s}, options)
		},
		func() (string, http.Handler) {
			return novacronv1connect.NewEventServiceHandler(&eventService{s}, options)
		},
		func() (string, http.Handler) {
			return novacronv1connect.NewMetricServiceHandler(&metricService{s}, options)
		},
		func() (string, http.Handler) {
			return novacronv1connect.NewMetricForwardServiceHandler(&forwardService{s}, options)
		},
		func() (string, http.Handler) {
			return novacronv1connect.NewJoinServiceHandler(&joinService{s}, options)
		},
		func() (string, http.Handler) {
			return agentv1connect.NewDesiredServiceHandler(&desiredService{s}, options)
		},
		func() (string, http.Handler) {
			return agentv1connect.NewBlobServiceHandler(peer.Service{Store: s.Blobs, HTTP: s.Peers}, options)
		},
	} {
		mux.Handle(mount())
	}
	if s.Metrics.HTTP != nil {
		mux.Handle(prometheusPath, s.Metrics.HTTP)
		mux.Handle(healthPath, s.Metrics.HTTP)
		mux.Handle(ownPath, s.Metrics.HTTP)
	}
	return s.identify(s.authorise(s.audit(s.forward(mux))))
}

func (s *Server) recovered(_ context.Context, spec connect.Spec, _ http.Header, cause any) error {
	s.Logger.Error("a handler panicked", "procedure", spec.Procedure, "panic", cause)
	return connect.NewError(connect.CodeInternal, errPanicked)
}

// propose commits a command and waits for what it did.
func (s *Server) propose(ctx context.Context, op func(*statev1.Command)) (proto.Message, error) {
	command := &statev1.Command{Version: state.Version, Time: timestamppb.New(s.Now()), Actor: callerOf(ctx).String()}
	op(command)
	encoded, err := proto.Marshal(command)
	if err != nil {
		return nil, err
	}
	result, _, err := s.Consensus.Propose(ctx, encoded)
	if err != nil {
		return nil, err
	}
	applied := result.(state.Result)
	return applied.Value, applied.Err
}
