package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// patience is how long anything may take; what works takes a fraction.
const patience = time.Minute

// mock is a controller as an agent sees it.
type mock struct {
	address string
	desired *agentv1.DesiredSet
	// interval is how often it wants reports; 0 is as often as the agent may.
	interval time.Duration

	mu      sync.Mutex
	refuses error
	reports int
	watches int
	cut     chan struct{}
}

func (m *mock) Watch(ctx context.Context, _ *connect.Request[agentv1.WatchRequest], stream *connect.ServerStream[agentv1.WatchResponse]) error {
	m.mu.Lock()
	m.watches++
	cut := m.cut
	m.mu.Unlock()
	if err := stream.Send(&agentv1.WatchResponse{Revision: 1, Desired: m.desired}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-cut:
	}
	return nil
}

func (m *mock) Report(context.Context, *connect.Request[agentv1.ReportRequest]) (*connect.Response[agentv1.ReportResponse], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reports++
	return connect.NewResponse(&agentv1.ReportResponse{Interval: durationpb.New(m.interval)}), m.refuses
}

func (m *mock) counts() (reports, watches int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reports, m.watches
}

// mocks are controllers with one certificate, and the way to dial them.
func mocks(t *testing.T, all ...*mock) *tls.Config {
	t.Helper()
	config, _, err := node.Init(node.InitOptions{DataDir: filepath.Join(t.TempDir(), "c"), Name: "c", Admin: "a", API: "127.0.0.1:1", Raft: "127.0.0.1:2", Gossip: "127.0.0.1:3"})
	require.NoError(t, err)
	material, err := pki.LoadMaterial(config.PKIDir())
	require.NoError(t, err)
	creds, err := pki.NewCredentials(material, pki.Options{})
	require.NoError(t, err)
	for _, m := range all {
		m.cut = make(chan struct{})
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		m.address = listener.Addr().String()
		mux := http.NewServeMux()
		mux.Handle(agentv1connect.NewDesiredServiceHandler(m))
		server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
		go func() { _ = server.Serve(tls.NewListener(listener, creds.ServerTLS())) }()
		t.Cleanup(func() { _ = server.Close() })
	}
	return creds.ClientTLS(pki.RoleController)
}

// running starts a link and gives it.
func running(t *testing.T, cfg linkConfig) *link {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	if cfg.Report == nil {
		cfg.Report = func(context.Context) (*agentv1.ReportRequest, error) { return &agentv1.ReportRequest{}, nil }
	}
	cfg.Reported = func(*agentv1.ReportRequest, *agentv1.ReportResponse, time.Time) {}
	if cfg.Desired == nil {
		cfg.Desired = func(uint64, *agentv1.DesiredSet) {}
	}
	if cfg.Learned == nil {
		cfg.Learned = func([]string) {}
	}
	l := newLink(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = l.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return l
}

func TestAnAgentLeavesAControllerThatTakesNoReports(t *testing.T) {
	cutOff := &mock{refuses: connect.NewError(connect.CodeUnavailable, errors.New("no leader"))}
	good := &mock{}
	config := mocks(t, cutOff, good)
	running(t, linkConfig{Controllers: []string{cutOff.address, good.address}, TLS: config})
	require.Eventually(t, func() bool { reports, _ := good.counts(); return reports > 0 }, patience, 5*time.Millisecond)
	refusals, _ := cutOff.counts()
	require.LessOrEqual(t, refusals, 1, "at the first refusal, or the host counts as silent")
}

func TestAnAgentComesBackAfterTheStreamIsCut(t *testing.T) {
	m := &mock{}
	config := mocks(t, m)
	running(t, linkConfig{Controllers: []string{m.address}, TLS: config})
	watched := func(n int) func() bool {
		return func() bool { _, watches := m.counts(); return watches >= n }
	}
	require.Eventually(t, watched(1), patience, 5*time.Millisecond)
	m.mu.Lock()
	close(m.cut)
	m.cut = make(chan struct{})
	m.mu.Unlock()
	require.Eventually(t, watched(2), patience, 5*time.Millisecond)
}

func TestAnAgentLearnsTheControllersAndWhatIsWanted(t *testing.T) {
	m := &mock{}
	config := mocks(t, m)
	m.desired = &agentv1.DesiredSet{
		Vms: []*novacronv1.VM{{Id: "vm"}}, Controllers: []string{m.address, "127.0.0.1:9"}, BlobSources: []string{m.address, "127.0.0.1:9", "127.0.0.1:8"},
	}
	learned, wanted := make(chan []string, 1), make(chan *agentv1.DesiredSet, 1)
	l := running(t, linkConfig{
		Controllers: []string{m.address}, TLS: config,
		Learned: func(controllers []string) { learned <- controllers },
		Desired: func(_ uint64, set *agentv1.DesiredSet) { wanted <- set },
	})
	require.Equal(t, "vm", (<-wanted).GetVms()[0].GetId())
	require.Equal(t, m.desired.GetControllers(), <-learned)
	require.Equal(t, m.desired.GetControllers(), l.known())
	require.Equal(t, m.desired.GetBlobSources(), l.blobSources())
}

func TestNewsAreReportedWithoutDelay(t *testing.T) {
	m := &mock{interval: time.Hour}
	config := mocks(t, m)
	l := running(t, linkConfig{Controllers: []string{m.address}, TLS: config})
	reported := func(n int) func() bool {
		return func() bool { reports, _ := m.counts(); return reports >= n }
	}
	require.Eventually(t, reported(1), patience, 5*time.Millisecond)
	l.reportSoon()
	require.Eventually(t, reported(2), patience, 5*time.Millisecond, "the next one by itself is due in an hour")
}

func TestAHostThatCannotBeObservedKeepsItsController(t *testing.T) {
	m := &mock{}
	config := mocks(t, m)
	tried := make(chan struct{}, 100)
	l := running(t, linkConfig{Controllers: []string{m.address}, TLS: config, Report: func(context.Context) (*agentv1.ReportRequest, error) {
		tried <- struct{}{}
		return nil, errors.New("libvirt is down")
	}})
	for range 5 {
		<-tried
		l.reportSoon()
	}
	_, watches := m.counts()
	require.LessOrEqual(t, watches, 1, "no other controller would change that")
}
