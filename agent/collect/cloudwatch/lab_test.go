package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloudwatch/fakecloud"
	"github.com/novacron/novacron/tsdb"
)

const (
	testAccount = "123456789012"
	testRegion  = "eu-central-1"
	testHost    = "aws.test:80"
)

// latencyOfTests is more than nothing and less than what any test measures.
const latencyOfTests = time.Millisecond

// memStore is a state in memory that outlives the collectors.
type memStore struct {
	mu    sync.Mutex
	state []byte
	// fails makes the next save fail.
	fails bool
}

func (s *memStore) Load(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, nil
}

func (s *memStore) Save(_ context.Context, state []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails {
		return errors.New("the disk is full")
	}
	s.state = state
	return nil
}

// lab is AWS, a collector of it and what was stored, in a bubble of time.
type lab struct {
	t      testing.TB
	aws    *fakecloud.Cloud
	pipe   *pipe
	server *http.Server
	stores map[string]*memStore
	meter  *collect.Meter
	*Collector
	stored map[string]map[int64]float64
}

// pipe is the network: it leads to the fake AWS and nowhere else.
type pipe struct {
	t     testing.TB
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	down  bool
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (p *pipe) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	if addr != testHost {
		p.t.Errorf("a request leaves for %s", addr)
		return nil, fmt.Errorf("%s is not ours", addr)
	}
	if p.down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// noEnvironment keeps what the host has configured out of a test.
func noEnvironment(t testing.TB) {
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_PROFILE": "", "AWS_CA_BUNDLE": "", "HTTP_PROXY": "", "AWS_REGION": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
	} {
		t.Setenv(name, value)
	}
}

// inLab runs a test in a bubble whose clock begins at a round hour.
func inLab(t *testing.T, test func(*lab)) { inLabWith(t, nil, test) }

func inLabWith(t *testing.T, environment map[string]string, test func(*lab)) {
	noEnvironment(t)
	for name, value := range environment {
		t.Setenv(name, value)
	}
	synctest.Test(t, func(t *testing.T) {
		later(time.Until(time.Now().Truncate(24 * time.Hour).Add(36*time.Hour + 500*time.Millisecond)))
		l := newLab(t)
		defer l.shut()
		test(l)
	})
}

func newLab(t testing.TB) *lab {
	l := &lab{
		t: t, aws: fakecloud.New(testAccount), stores: map[string]*memStore{}, meter: collect.NewMeter(), stored: map[string]map[int64]float64{},
		pipe: &pipe{t: t, conns: make(chan net.Conn), done: make(chan struct{})},
	}
	l.aws.Latency = latencyOfTests
	l.server = &http.Server{Handler: l.aws, ReadHeaderTimeout: time.Minute}
	go func() { _ = l.server.Serve(l.pipe) }()
	return l
}

func (l *lab) shut() {
	_ = l.server.Close()
}

func (l *lab) store(name string) collect.StateStore {
	if l.stores[name] == nil {
		l.stores[name] = &memStore{}
	}
	return l.stores[name]
}

// config is one that reaches the fake AWS.
func (l *lab) config() Config {
	return Config{
		Regions: []string{testRegion}, Credentials: Credentials{AccessKeyID: "AKIATEST", SecretAccessKey: "secret"}, Endpoint: "http://" + testHost,
		Dial:   l.pipe.dial,
		Stores: l.store, Meter: l.meter,
	}
}

// start begins or begins anew: with what was saved and nothing else.
func (l *lab) start(change ...func(*Config)) {
	cfg := l.config()
	for _, one := range change {
		one(&cfg)
	}
	c, err := New(context.Background(), cfg)
	require.NoError(l.t, err)
	l.Collector = c
}

// collect collects once and leaves it unsettled.
func (l *lab) collect() ([]collect.Metric, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	return l.CollectMetrics(ctx, tsdb.MetricsQuery{})
}

// put stores metrics as the shard does: the registry refuses, and the same again changes nothing.
func (l *lab) put(metrics []collect.Metric) {
	admitted, refused := collect.NewRegistry().Admit(metrics, collect.Limits{})
	require.Empty(l.t, refused)
	for _, m := range admitted {
		key := seriesOf(m)
		if l.stored[key] == nil {
			l.stored[key] = map[int64]float64{}
		}
		l.stored[key][m.Timestamp.UnixMilli()] = m.Value
	}
}

// told are the labels that do not tell the series of a test from each other.
var told = map[string]string{"cloud_region": testRegion, "source": "cloudwatch", "cloud_provider": "aws", "cloud_account_id": testAccount}

// seriesOf names a series by the other labels.
func seriesOf(m collect.Metric) string {
	labels := map[string]string{}
	for name, value := range m.Labels {
		if told[name] != value && name != "vm_name" {
			labels[name] = value
		}
	}
	return collect.SeriesKey(m.Name, labels, "")
}

// once collects, stores and settles; the collection may fail in part.
func (l *lab) once() ([]collect.Metric, error) {
	metrics, err := l.collect()
	l.put(metrics)
	require.NoError(l.t, l.Settle(context.Background(), true))
	return metrics, err
}

// good is once without an error.
func (l *lab) good() []collect.Metric {
	metrics, err := l.once()
	require.NoError(l.t, err)
	return metrics
}

// at is what is stored of a series at a time.
func (l *lab) at(series string, at time.Time) (float64, bool) {
	v, ok := l.stored[series][at.UnixMilli()]
	return v, ok
}

func (l *lab) machine(change ...func(*fakecloud.Machine)) fakecloud.Machine {
	m := fakecloud.Machine{ID: "i-1", Region: testRegion, Name: "web", Type: "m5.large", Zone: testRegion + "a", Launched: time.Now().Add(-24 * time.Hour).Truncate(time.Hour)}
	for _, one := range change {
		one(&m)
	}
	l.aws.AddMachine(m)
	return m
}

// publish is a metric with the same value in all steps.
func (l *lab) publish(namespace, name, unit string, v float64, pairs ...string) {
	l.series(namespace, name, unit, func(time.Time) (float64, bool) { return v, true }, pairs...)
}

func (l *lab) series(namespace, name, unit string, value func(time.Time) (float64, bool), pairs ...string) {
	dimensions := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		dimensions[pairs[i]] = pairs[i+1]
	}
	step := time.Minute
	if namespace == nsEC2 && name != "StatusCheckFailed" {
		step = 5 * time.Minute
	}
	l.aws.AddSeries(fakecloud.Series{Region: testRegion, Namespace: namespace, Name: name, Unit: unit, Dimensions: dimensions, Step: step, Value: value})
}

// later lets time pass.
func later(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}
