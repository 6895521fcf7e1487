package forwards

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/custom"
	"github.com/novacron/novacron/cluster/pki"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/forward"
	"github.com/novacron/novacron/tsdb/shard"
)

// patience is how long something on this machine may take.
const patience = time.Minute

// remote is our own receiver behind TLS, which notes how it was asked.
type remote struct {
	mu     sync.Mutex
	stored []collect.Metric
	asked  *http.Request
	server *httptest.Server
	// admits refuses who does not prove itself.
	admits func(*http.Request) bool
}

func (r *remote) StoreMetrics(_ context.Context, metrics []collect.Metric) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stored = append(r.stored, metrics...)
	return nil
}

func newRemote(t *testing.T, admits func(*http.Request) bool) *remote {
	r := &remote{admits: admits}
	receiver := (&custom.Receiver{Registry: collect.NewRegistry(), Sink: r, Limits: custom.Limits{Undeclared: true}}).WriteHandler()
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.asked = request
		r.mu.Unlock()
		if !r.admits(request) {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		receiver.ServeHTTP(w, request)
	}))
	r.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	r.server.StartTLS()
	t.Cleanup(r.server.Close)
	return r
}

func (r *remote) spec() *novacronv1.MetricForwardSpec {
	return &novacronv1.MetricForwardSpec{
		Name: "far", Url: r.server.URL + "/write", Labels: map[string]string{"cluster": "c1"}, Headers: map[string]string{"X-Scope-OrgID": "us"}, Protocol: 2, QueueBytes: 1 << 20,
		CaPem: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw})),
	}
}

// host is a shard that forwards as a manager wants it.
type host struct {
	shard   *shard.Shard
	manager *Manager
}

func newHost(t *testing.T) *host {
	quiet := slog.New(slog.DiscardHandler)
	s, err := shard.Open(shard.Options{Maintain: -1, Logger: quiet})
	require.NoError(t, err)
	set, err := forward.Open(forward.Options{Dir: t.TempDir(), Logger: quiet, Limits: forward.Limits{Age: time.Millisecond, MinPause: time.Millisecond, Flush: time.Millisecond}, Describe: func(name string) forward.Description {
		about := s.Description(name)
		return forward.Description{Type: string(about.Type), Unit: about.Unit, Help: about.Help}
	}})
	require.NoError(t, err)
	s.SendOn(set)
	h := &host{s, New(Config{Set: set, Logger: quiet})}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { h.manager.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		done.Wait()
		require.NoError(t, set.Close(context.Background()))
		require.NoError(t, s.Close())
	})
	return h
}

func (h *host) want(t *testing.T, revision uint64, jobs ...*agentv1.MetricForwardJob) {
	h.manager.Desired(revision, &agentv1.MetricForwards{Forwards: jobs})
	require.Eventually(t, func() bool {
		for _, o := range h.manager.Observations() {
			if o.GetStatus().GetObservedGeneration() == 0 {
				return false
			}
		}
		return true
	}, patience, time.Millisecond)
}

func (h *host) observed(t *testing.T) *novacronv1.MetricForwardHost {
	all := h.manager.Observations()
	require.Len(t, all, 1)
	return all[0].GetStatus()
}

func (h *host) store(t *testing.T) tsdb.Metric {
	now := time.Now().Truncate(time.Millisecond)
	m := tsdb.Metric{Name: "orders_total", Type: tsdb.TypeCounter, Unit: "orders", Labels: map[string]string{"zone": "a"}, Source: "test", Value: 3, Timestamp: now, Start: now.Add(-time.Minute)}
	require.NoError(t, h.shard.StoreMetrics(t.Context(), []tsdb.Metric{m}))
	return m
}

func sealed(r *remote, secret string, change func(*novacronv1.MetricForwardSpec)) *agentv1.MetricForwardJob {
	job := &agentv1.MetricForwardJob{Spec: r.spec(), Generation: 1, Id: 5, Secret: []byte(secret)}
	job.Spec.Credential = &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_Sealed{Sealed: &novacronv1.SealedSecret{}}}
	if change != nil {
		change(job.GetSpec())
	}
	return job
}

// TestForwardingProvesWhoWeAre in every way there is, to a receiver of 2.0.
func TestForwardingProvesWhoWeAre(t *testing.T) {
	ca, err := pki.NewCA("c1", time.Now())
	require.NoError(t, err)
	key, csr, err := pki.NewKeyAndCSR()
	require.NoError(t, err)
	certificate, err := ca.Sign(csr, pki.Identity{ClusterID: "c1", NodeID: "x", Name: "forwarder", Role: pki.RoleOperator}, nil, 0, time.Now())
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("t0ken\n"), 0o600))
	t.Setenv("NOVACRON_TEST_FORWARD", "t0ken")
	bearer := func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer t0ken" }
	for name, c := range map[string]struct {
		secret string
		change func(*novacronv1.MetricForwardSpec)
		admits func(*http.Request) bool
	}{
		"bearer": {"t0ken", nil, bearer},
		"basic": {"s3cret", func(s *novacronv1.MetricForwardSpec) { s.Username = "us" }, func(r *http.Request) bool {
			user, password, ok := r.BasicAuth()
			return ok && user == "us" && password == "s3cret"
		}},
		"certificate": {string(certificate) + string(key), func(s *novacronv1.MetricForwardSpec) { s.ClientCertificate = true }, func(r *http.Request) bool {
			return len(r.TLS.PeerCertificates) > 0 && r.Header.Get("Authorization") == ""
		}},
		"file": {"", func(s *novacronv1.MetricForwardSpec) {
			s.Credential = &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_File{File: file}}
		}, bearer},
		"variable": {"", func(s *novacronv1.MetricForwardSpec) {
			s.Credential = &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_Environment{Environment: "NOVACRON_TEST_FORWARD"}}
		}, bearer},
		"nothing": {"", func(s *novacronv1.MetricForwardSpec) { s.Credential = nil }, func(r *http.Request) bool { return r.Header.Get("Authorization") == "" }},
	} {
		t.Run(name, func(t *testing.T) {
			r, h := newRemote(t, c.admits), newHost(t)
			h.want(t, 1, sealed(r, c.secret, c.change))
			want := h.store(t)
			require.Eventually(t, func() bool { return h.observed(t).GetPendingSamples() == 0 }, patience, time.Millisecond)
			o := h.observed(t)
			require.Empty(t, o.GetLastError())
			require.Equal(t, uint64(1), o.GetSentSamples())
			require.Equal(t, uint32(2), o.GetProtocol())
			r.mu.Lock()
			defer r.mu.Unlock()
			require.Len(t, r.stored, 1)
			got := r.stored[0]
			require.Equal(t, map[string]string{"zone": "a", "source": "test", "cluster": "c1"}, got.Labels)
			require.Equal(t, tsdb.TypeCounter, got.Type)
			require.Equal(t, "orders", got.Unit)
			require.True(t, want.Start.Equal(got.Start) && want.Timestamp.Equal(got.Timestamp) && got.Value == 3)
			require.Equal(t, "us", r.asked.Header.Get("X-Scope-OrgID"))
		})
	}
}

// TestWhatIsWrongIsTold to the cluster and by metrics, without secrets.
func TestWhatIsWrongIsTold(t *testing.T) {
	r, h := newRemote(t, func(r *http.Request) bool { return false }), newHost(t)
	h.want(t, 1, sealed(r, "s3cret", nil))
	h.store(t)
	require.Eventually(t, func() bool { return h.observed(t).GetDroppedSamples()["refused"] == 1 }, patience, time.Millisecond)
	require.Equal(t, "the remote answers 401 Unauthorized: who are you?", h.observed(t).GetLastError())
	values := map[string]float64{}
	for _, m := range h.manager.Metrics(time.Now()) {
		values[m.Name+m.Labels["reason"]] = m.Value
		require.Equal(t, "far", m.Labels["forward"])
	}
	require.Equal(t, 1.0, values["novacron_forward_dropped_samples_totalrefused"])
	require.Contains(t, values, "novacron_forward_dropped_samples_totalqueue_full")
	require.Len(t, values, len(Definitions())-1+len(reasons))

	id := uint64(5)
	for says, job := range map[string]*agentv1.MetricForwardJob{
		"are no PEM":  sealed(r, "x", func(s *novacronv1.MetricForwardSpec) { s.CaPem = "x" }),
		"both in PEM": sealed(r, "x", func(s *novacronv1.MetricForwardSpec) { s.ClientCertificate = true }),
		"no such file": sealed(r, "", func(s *novacronv1.MetricForwardSpec) {
			s.Credential = &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_File{File: "/nowhere/token"}}
		}),
		"takes another key": {Spec: r.spec(), SecretProblem: "the secret takes another key"},
	} {
		id++
		job.Generation, job.Id = 2, id
		h.want(t, 2, job)
		h.store(t)
		require.Eventually(t, func() bool { return h.observed(t).GetLastError() != "" }, patience, time.Millisecond, says)
		require.Contains(t, h.observed(t).GetLastError(), says)
		require.Equal(t, uint64(1), h.observed(t).GetPendingSamples(), "it waits")
	}
}

// TestWhatAControllerSaysOfForwards is taken in order; one that knows of none changes nothing.
func TestWhatAControllerSaysOfForwards(t *testing.T) {
	r, h := newRemote(t, func(r *http.Request) bool { return true }), newHost(t)
	h.want(t, 5, sealed(r, "x", nil))
	h.manager.Desired(6, nil)
	h.manager.Desired(4, &agentv1.MetricForwards{})
	require.Len(t, h.manager.Observations(), 1)
	h.want(t, 7)
	require.Eventually(t, func() bool { return len(h.manager.Metrics(time.Now())) == 0 }, patience, time.Millisecond)

	without := New(Config{Logger: slog.New(slog.DiscardHandler)})
	without.Desired(1, &agentv1.MetricForwards{Forwards: []*agentv1.MetricForwardJob{sealed(r, "x", nil)}})
	require.Contains(t, without.Observations()[0].GetStatus().GetLastError(), "cannot forward")
	require.Empty(t, without.Metrics(time.Now()))
}
