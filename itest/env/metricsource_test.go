package env_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/novacron/novacron/agent"
	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/jobs"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
	"github.com/novacron/novacron/itest/fault"
	"github.com/novacron/novacron/metric"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/shard"
)

const (
	// linkPoint cuts a host off from the cluster.
	linkPoint = "agent.link"
	// moving is how long a source may take to be moved from a host that is lost.
	moving = 90 * time.Second
)

// target is a server that is scraped, and knows who did.
type target struct {
	*httptest.Server
	mu      sync.Mutex
	scrapes []scrape
	logins  []string
}

// scrape is one request, from its begin to its end.
type scrape struct {
	host       string
	begin, end time.Time
}

func newTarget(t *testing.T) *target {
	t.Helper()
	s := &target{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one := scrape{host: r.Header.Get("Host-Name"), begin: time.Now()}
		fmt.Fprintln(w, "42")
		one.end = time.Now()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.scrapes, s.logins = append(s.scrapes, one), append(s.logins, r.Header.Get("Authorization"))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *target) all() []scrape {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.scrapes)
}

// scrapedBy waits until a host has scraped the target a number of times after a moment.
func (s *target) scrapedBy(t *testing.T, host string, times int, after time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), moving)
	defer cancel()
	require.NoError(t, env.WaitFor(ctx, host+" to scrape", func(context.Context) error {
		n := 0
		for _, one := range s.all() {
			if one.host == host && one.begin.After(after) {
				n++
			}
		}
		if n < times {
			return fmt.Errorf("%d scrapes of %d", n, times)
		}
		return nil
	}))
}

var scrapeClient = &http.Client{Timeout: 5 * time.Second}

// scraper is the simplest collector of a target.
type scraper struct {
	host   string
	source jobs.Source
}

func scrapers(host string) agent.OpenSource {
	return func(_ context.Context, source jobs.Source) (jobs.Opened, error) {
		return jobs.Opened{Collector: scraper{host, source}}, nil
	}
}

func (s scraper) CollectMetrics(ctx context.Context, _ tsdb.MetricsQuery) ([]collect.Metric, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.source.Spec.GetScrape().GetUrl(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Host-Name", s.host)
	if s.source.Secret != nil {
		secret, err := s.source.Secret()
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+string(secret))
	}
	answer, err := scrapeClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var value float64
	if _, err := fmt.Fscan(answer.Body, &value); err != nil {
		return nil, err
	}
	return []collect.Metric{{Name: "queue_length", Labels: s.source.Spec.GetLabels(), Value: value, Timestamp: time.Now(), Source: "scrape"}}, nil
}

func (s scraper) ListAvailableMetrics(context.Context) ([]collect.MetricDefinition, error) {
	return nil, nil
}

func scrapeOf(name, url string) *novacronv1.MetricSourceSpec {
	return &novacronv1.MetricSourceSpec{
		Name: name, Interval: durationpb.New(5 * time.Second), Labels: map[string]string{"queue": "in"},
		Kind: &novacronv1.MetricSourceSpec_Scrape{Scrape: &novacronv1.ScrapeMetricSource{Url: url}},
	}
}

func define(t *testing.T, client *env.Client) {
	t.Helper()
	_, err := client.Metrics.DefineMetric(t.Context(), connect.NewRequest(&novacronv1.DefineMetricRequest{Definition: &novacronv1.MetricDefinition{
		Name: "queue_length", Type: novacronv1.MetricType_METRIC_TYPE_GAUGE, Help: "Jobs that wait.", Labels: []string{"queue"}, Owner: "ops",
	}}))
	require.NoError(t, err)
}

func addSource(t *testing.T, client *env.Client, spec *novacronv1.MetricSourceSpec, secret string) *novacronv1.MetricSource {
	t.Helper()
	answer, err := client.Metrics.CreateMetricSource(t.Context(), connect.NewRequest(&novacronv1.CreateMetricSourceRequest{Spec: spec, Secret: []byte(secret)}))
	require.NoError(t, err)
	return answer.Msg.GetSource()
}

// sourceIn waits until a source is in a state.
func sourceIn(t *testing.T, client *env.Client, name string, state novacronv1.MetricSourceState) *novacronv1.MetricSource {
	t.Helper()
	var found *novacronv1.MetricSource
	ctx, cancel := context.WithTimeout(t.Context(), moving)
	defer cancel()
	require.NoError(t, env.WaitFor(ctx, name+" to be "+state.String(), func(ctx context.Context) error {
		answer, err := client.Metrics.GetMetricSource(ctx, connect.NewRequest(&novacronv1.GetMetricSourceRequest{Name: name}))
		if err != nil {
			return err
		}
		if found = answer.Msg.GetSource(); found.GetStatus().GetState() != state {
			return fmt.Errorf("it is %s", found.GetStatus())
		}
		return nil
	}))
	return found
}

const sourceRuns = novacronv1.MetricSourceState_METRIC_SOURCE_STATE_RUNNING

// inShard are the values of a metric in the shard of a host that is stopped.
func inShard(t *testing.T, host *env.Member, name string) []tsdb.Metric {
	t.Helper()
	s, err := shard.Open(shard.Options{Dir: filepath.Join(host.Config.DataDir, "metrics"), ReadOnly: true, Maintain: -1})
	require.NoError(t, err)
	defer s.Close()
	found, err := s.QueryMetrics(t.Context(), tsdb.MetricsQuery{MetricNames: []string{name}, TimeRange: tsdb.TimeRange{Start: time.Now().Add(-time.Hour), End: time.Now().Add(time.Minute)}})
	require.NoError(t, err)
	return found
}

func TestASourceIsCollectedByOneHostAndKeptInItsShard(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 2, Sources: scrapers})
	client, s := admin(t, c, ""), newTarget(t)
	define(t, client)
	made := addSource(t, client, scrapeOf("queue", s.URL), "")
	again := addSource(t, client, scrapeOf("queue", s.URL), "")
	require.True(t, proto.Equal(made.GetSpec(), again.GetSpec()), "the same again is a retry")
	found := sourceIn(t, client, "queue", sourceRuns)
	owner := found.GetStatus().GetHostName()
	s.scrapedBy(t, owner, 2, time.Time{})
	for _, one := range s.all() {
		require.Equal(t, owner, one.host)
	}
	require.NoError(t, c.Member(owner).Stop())
	values := inShard(t, c.Member(owner), "queue_length")
	require.NotEmpty(t, values)
	require.Equal(t, 42.0, values[0].Value)
	require.Equal(t, "in", values[0].Labels["queue"])
	require.Equal(t, "scrape", values[0].Labels["source"])
	require.NoError(t, c.Member(owner).Start(t.Context()))
	s.scrapedBy(t, owner, 1, time.Now())

	_, err := client.Metrics.DeleteMetricSource(t.Context(), connect.NewRequest(&novacronv1.DeleteMetricSourceRequest{Name: "queue"}))
	require.NoError(t, err)
	waitFor(t, "the source to be gone", func(ctx context.Context) error {
		_, err := client.Metrics.GetMetricSource(ctx, connect.NewRequest(&novacronv1.GetMetricSourceRequest{Name: "queue"}))
		if connect.CodeOf(err) == connect.CodeNotFound {
			return nil
		}
		return errors.New("it is there")
	})
}

// TestADrainedHostHandsItsSourceOver in order: it says that it has stopped, and nobody waits for leases.
func TestADrainedHostHandsItsSourceOver(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 2, Sources: scrapers})
	client, s := admin(t, c, followers(t, c)[0].Name), newTarget(t)
	define(t, client)
	addSource(t, client, scrapeOf("queue", s.URL), "")
	owner := sourceIn(t, client, "queue", sourceRuns).GetStatus().GetHostName()
	began := time.Now()
	_, err := client.Hosts.DrainHost(t.Context(), connect.NewRequest(&novacronv1.DrainHostRequest{Host: owner}))
	require.NoError(t, err)
	other := map[string]string{"host-1": "host-2", "host-2": "host-1"}[owner]
	s.scrapedBy(t, other, 1, time.Time{})
	require.Less(t, time.Since(began), metric.Lease, "it was not waited for a lease to run out")
	requireOneAtATime(t, s)
}

// requireOneAtATime demands that a target was never scraped by a host after another had begun.
func requireOneAtATime(t *testing.T, s *target) {
	t.Helper()
	done, current := map[string]bool{}, scrape{}
	for _, one := range s.all() {
		if one.host != current.host {
			require.False(t, done[one.host], "%s came back after %s had begun", one.host, current.host)
			require.False(t, one.begin.Before(current.end), "%s began while %s was at it", one.host, current.host)
			done[current.host] = true
		}
		current = one
	}
}

// TestASourceMovesFromAHostThatIsCutOff while its agent works on, and never has two collectors.
func TestASourceMovesFromAHostThatIsCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for leases to run out")
	}
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 2, Sources: scrapers})
	client, s := admin(t, c, ""), newTarget(t)
	define(t, client)
	addSource(t, client, scrapeOf("queue", s.URL), "")
	before := sourceIn(t, client, "queue", sourceRuns)
	owner := before.GetStatus().GetHostName()
	s.scrapedBy(t, owner, 1, time.Time{})
	host := c.Member(owner).Host
	host.Faults.Arm(linkPoint, fault.Error)
	cut := time.Now()
	other := map[string]string{"host-1": "host-2", "host-2": "host-1"}[owner]
	s.scrapedBy(t, other, 2, cut)
	var last, first time.Time
	for _, one := range s.all() {
		if one.host == owner {
			last = one.end
		} else if first.IsZero() {
			first = one.begin
		}
	}
	t.Logf("cut off; the last scrape of the host %s later, the first of the next one %s later", last.Sub(cut).Round(time.Millisecond), first.Sub(cut).Round(time.Millisecond))
	require.Less(t, last.Sub(cut), metric.Lease, "the host stops by itself")
	host.Faults.Disarm(linkPoint)
	s.scrapedBy(t, other, 3, time.Now())
	requireOneAtATime(t, s)
	after := sourceIn(t, client, "queue", sourceRuns)
	require.Greater(t, after.GetStatus().GetEpoch(), before.GetStatus().GetEpoch())
	require.True(t, after.GetStatus().GetWatermark().AsTime().After(before.GetStatus().GetWatermark().AsTime()))
}

// TestSecretsOfSourcesAreWithTheirHostAlone: no answer, event, log, backup or file has them.
func TestSecretsOfSourcesAreWithTheirHostAlone(t *testing.T) {
	t.Parallel()
	log, dir := &env.Log{}, t.TempDir()
	c := env.New(t, env.Options{Controllers: 3, Agents: 2, Sources: scrapers, Logger: log.Logger(), Dir: dir})
	client, s := admin(t, c, followers(t, c)[0].Name), newTarget(t)
	define(t, client)
	const first, second = "s3cr3t-of-the-first-day", "s3cr3t-of-the-second-day"
	var said []proto.Message
	made := addSource(t, client, scrapeOf("queue", s.URL), first)
	said = append(said, made, sourceIn(t, client, "queue", sourceRuns))
	sealed := made.GetSpec().GetCredential().GetSealed()
	require.NotEmpty(t, sealed.GetFingerprint())
	requireLogin(t, s, first)

	spec := proto.CloneOf(made.GetSpec())
	spec.Labels = map[string]string{"queue": "out"}
	updated, err := client.Metrics.UpdateMetricSource(t.Context(), connect.NewRequest(&novacronv1.UpdateMetricSourceRequest{Spec: spec}))
	require.NoError(t, err)
	require.Equal(t, sealed.GetFingerprint(), updated.Msg.GetSource().GetSpec().GetCredential().GetSealed().GetFingerprint(), "it stays")
	updated, err = client.Metrics.UpdateMetricSource(t.Context(), connect.NewRequest(&novacronv1.UpdateMetricSourceRequest{Spec: spec, Secret: []byte(second)}))
	require.NoError(t, err)
	require.NotEqual(t, sealed.GetFingerprint(), updated.Msg.GetSource().GetSpec().GetCredential().GetSealed().GetFingerprint())
	requireLogin(t, s, second)
	spec.GetScrape().Url = "http://127.0.0.1:1/thief"
	_, err = client.Metrics.UpdateMetricSource(t.Context(), connect.NewRequest(&novacronv1.UpdateMetricSourceRequest{Spec: spec}))
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err), "it is not sent elsewhere")

	listed, err := client.Metrics.ListMetricSources(t.Context(), connect.NewRequest(&novacronv1.ListMetricSourcesRequest{}))
	require.NoError(t, err)
	said = append(said, updated.Msg, listed.Msg)
	events, err := client.Events.WatchEvents(t.Context(), connect.NewRequest(&novacronv1.WatchEventsRequest{NoFollow: true}))
	require.NoError(t, err)
	told := ""
	for events.Receive() {
		said = append(said, proto.CloneOf(events.Msg()))
		told += events.Msg().GetEvent().GetKind() + " "
	}
	require.Contains(t, told, "metric-source.created")
	for _, message := range said {
		require.NotContains(t, prototext.Format(message), "s3cr3t", "%T", message)
	}
	require.NotContains(t, string(backup(t, client)), "s3cr3t")
	require.NotContains(t, log.String(), "s3cr3t")
	require.Contains(t, log.String(), "MetricService/CreateMetricSource", "it is audited")
	require.NoError(t, c.Close())
	requireNowhere(t, dir, "s3cr3t")
}

func requireLogin(t *testing.T, s *target, secret string) {
	t.Helper()
	waitFor(t, "a login", func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !slices.Contains(s.logins, "Bearer "+secret) {
			return fmt.Errorf("%d logins, none with it", len(s.logins))
		}
		return nil
	})
}

// requireNowhere looks into every file below a folder.
func requireNowhere(t *testing.T, dir, text string) {
	t.Helper()
	files := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		require.False(t, bytes.Contains(content, []byte(text)), path)
		files++
		return err
	}))
	require.Greater(t, files, 10)
}

// TestPushedSamplesAreKeptByTheHostsOfTheirSeries.
func TestPushedSamplesAreKeptByTheHostsOfTheirSeries(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 2})
	client := as(t, c, pki.RoleOperator, "")
	define(t, client)
	var samples []*novacronv1.MetricSample
	for i := range 100 {
		samples = append(samples, &novacronv1.MetricSample{Name: "queue_length", Labels: map[string]string{"queue": fmt.Sprint("q", i)}, Value: float64(i)})
	}
	push := func(host string, samples ...*novacronv1.MetricSample) *novacronv1.PushMetricsResponse {
		t.Helper()
		answer, err := client.Metrics.PushMetrics(t.Context(), connect.NewRequest(&novacronv1.PushMetricsRequest{Samples: samples, Host: host}))
		require.NoError(t, err)
		return answer.Msg
	}
	waitFor(t, "the hosts to know the metric", func(context.Context) error {
		if got := push("", samples...); got.GetRefusedCount() > 0 {
			return errors.New(got.GetRefused()[0].GetMessage())
		}
		return nil
	})
	answer := push("", append(samples,
		&novacronv1.MetricSample{Name: "nobody_knows", Value: 1},
		&novacronv1.MetricSample{Name: "queue_length", Labels: map[string]string{"rack": "a"}, Value: 1},
	)...)
	require.EqualValues(t, 100, answer.GetStored())
	require.Equal(t, []string{"host-1", "host-2"}, answer.GetHosts())
	require.EqualValues(t, 2, answer.GetRefusedCount())
	reasons := map[uint32]string{}
	for _, one := range answer.GetRefused() {
		reasons[one.GetIndex()] = one.GetReason()
	}
	require.Equal(t, map[uint32]string{100: "unknown_metric", 101: "bad_label"}, reasons)
	one := push("host-2", samples[0])
	require.Equal(t, []string{"host-2"}, one.GetHosts())
	_, err := client.Metrics.PushMetrics(t.Context(), connect.NewRequest(&novacronv1.PushMetricsRequest{Samples: samples, Host: "host-9"}))
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(err))

	series := map[string]bool{}
	for _, host := range c.Members(pki.RoleAgent) {
		require.NoError(t, host.Stop())
		for _, value := range inShard(t, host, "queue_length") {
			series[value.Labels["queue"]] = true
			require.Equal(t, "push", value.Labels["source"])
		}
	}
	require.Len(t, series, 100)
}

// TestASourceThatCannotBeRunSaysWhy, where people look.
func TestASourceThatCannotBeRunSaysWhy(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1, Sources: func(string) agent.OpenSource {
		return func(_ context.Context, source jobs.Source) (jobs.Opened, error) {
			return jobs.Opened{}, fmt.Errorf("kind %q: no collector", metric.KindOf(source.Spec))
		}
	}})
	client := admin(t, c, "")
	spec := scrapeOf("edge", "http://127.0.0.1:1")
	spec.HostLabels = map[string]string{"zone": "edge"}
	addSource(t, client, spec, "")
	waitFor(t, "a refusal", func(ctx context.Context) error {
		answer, err := client.Metrics.GetMetricSource(ctx, connect.NewRequest(&novacronv1.GetMetricSourceRequest{Name: "edge"}))
		if err != nil {
			return err
		}
		if message := answer.Msg.GetSource().GetStatus().GetMessage(); !strings.Contains(message, "it does not have the labels zone=edge") {
			return errors.New(message)
		}
		return nil
	})
	addSource(t, client, scrapeOf("broken", "http://127.0.0.1:1"), "")
	found := sourceIn(t, client, "broken", novacronv1.MetricSourceState_METRIC_SOURCE_STATE_FAILING)
	require.Contains(t, found.GetStatus().GetLastError(), `metric source broken: kind "scrape": no collector`)
	for _, bad := range []*novacronv1.MetricSourceSpec{nil, {Name: "x"}, scrapeOf("Upper", "http://a"), scrapeOf("x", "ftp://a")} {
		_, err := client.Metrics.CreateMetricSource(t.Context(), connect.NewRequest(&novacronv1.CreateMetricSourceRequest{Spec: bad}))
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
	}
}
