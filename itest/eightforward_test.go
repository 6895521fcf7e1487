package itest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/env"
	"github.com/novacron/novacron/itest/lab"
)

// store is a Prometheus on a host of its own.
type store struct {
	// url is that of its API, since when all hosts send to it all that they store.
	url   string
	since time.Time
}

const storeName = "store"

// sendOn has every host send the CPU times to Debian's Prometheus.
func (e *eight) sendOn() store {
	e.t.Helper()
	program, err := lab.Program(e.ctx, "prometheus", "usr/bin/prometheus")
	require.NoError(e.t, err)
	dir := e.t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(e.t, os.WriteFile(config, []byte("{}\n"), 0o600))
	host, err := e.Serve(e.ctx, storeName, func(host *lab.Host) []string {
		return []string{program, "--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + host.IP + ":9090",
			"--web.enable-remote-write-receiver", "--log.level=warn"}
	})
	require.NoError(e.t, err)
	s := store{url: "http://" + host.IP + ":9090"}
	e.must("metric", "forward", "create", storeName, "--url", s.url+"/api/v1/write", "--match", cpuTimes)
	require.NoError(e.t, e.Await(e.ctx, "all hosts to send", func(ctx context.Context) error {
		f, err := e.forwarded(ctx)
		if err == nil && len(f.Hosts) != 8 {
			err = &lacking{fmt.Sprintf("%+v", f)}
		}
		return err
	}))
	s.since = time.Now()
	return s
}

// forwarded is how the forward goes, by host.
type forwarded struct {
	Hosts []struct {
		HostName       string
		DroppedSamples map[string]string
	}
}

func (e *eight) forwarded(ctx context.Context) (f forwarded, err error) {
	result := e.CLI(ctx, "metric", "forward", "show", storeName, "-o", "json")
	if result.Code != 0 {
		return f, &lacking{result.Err}
	}
	return f, json.Unmarshal([]byte(result.Out), &f)
}

// arrive holds that the store has what the shards have, although it hung for a while, and an agent with samples that
// waited was killed meanwhile; then it ends the forward.
func (e *eight) arrive(s store) {
	e.t.Helper()
	const killed = "h1"
	require.NoError(e.t, e.Signal(storeName, syscall.SIGSTOP))
	require.NoError(e.t, e.Await(e.ctx, "samples to wait", func(ctx context.Context) error { return e.waits(ctx, killed) }))
	require.NoError(e.t, e.Kill(e.ctx, killed))
	require.NoError(e.t, e.Start(e.ctx, killed))
	again := time.Now()
	require.NoError(e.t, e.Thaw(e.ctx, storeName))

	at := e.collected(again, 1)
	want, n := s.sent(e.asked(moment{at, 1}, cpuTimes+"[1h]", eightHosts()...))
	require.NoError(e.t, e.Await(e.ctx, "all samples to arrive", func(ctx context.Context) error {
		got, err := s.has(ctx, at)
		if err == nil && !reflect.DeepEqual(want, got) {
			err = &lacking{differs(want, got)}
		}
		return err
	}))
	f, err := e.forwarded(e.ctx)
	require.NoError(e.t, err)
	require.Len(e.t, f.Hosts, 8)
	for _, host := range f.Hosts {
		for reason, dropped := range host.DroppedSamples {
			require.Equal(e.t, "0", dropped, "%s: %s", host.HostName, reason)
		}
	}
	e.t.Logf("%d samples of %d series are the same in Prometheus", n, len(want))

	e.must("metric", "forward", "delete", storeName, "--yes")
	require.NoError(e.t, e.Await(e.ctx, "nothing to be left of the forward", func(context.Context) error { return e.forgotten() }))
}

// waits tells whether a host has samples that are not delivered.
func (e *eight) waits(ctx context.Context, host string) error {
	_, text, err := e.client.Get(ctx, e.addresses[host], "/metrics")
	if err != nil {
		return err
	}
	name := fmt.Sprintf(`novacron_forward_pending_samples{forward=%q,host=%q}`, storeName, host)
	if n, told := gauges(text)[name]; n == 0 {
		return &lacking{fmt.Sprintf("%s %v, told: %t", name, n, told)}
	}
	return nil
}

// has are the samples that arrived, up to a time.
func (s store) has(ctx context.Context, at float64) (series, error) {
	_, form := moment{at, 1}.parameters(cpuTimes + "[1h]")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1/query?"+form.Encode(), nil)
	if err != nil {
		return nil, err
	}
	said, err := (&http.Client{Timeout: time.Minute}).Do(request)
	if err != nil {
		return nil, err
	}
	defer said.Body.Close()
	text, err := io.ReadAll(said.Body)
	if err != nil {
		return nil, err
	}
	answer, err := env.ParseAnswer(text)
	all := series{}
	for _, one := range answer.Series {
		delete(one.Labels, "cluster") // which forwards add
		all.add(one)
	}
	all, _ = s.sent(all)
	return all, err
}

// sent are the samples since all hosts send, and their number.
func (s store) sent(all series) (since series, n int) {
	since = series{}
	for labels, points := range all {
		since[labels] = maps.Clone(points)
		maps.DeleteFunc(since[labels], func(at, _ float64) bool { return at <= unix(s.since) })
		n += len(since[labels])
	}
	return since, n
}

// differs tells one series of which there are other samples.
func differs(want, got series) string {
	for labels, points := range want {
		if !maps.Equal(points, got[labels]) {
			return fmt.Sprintf("%s: %v, not %v", labels, got[labels], points)
		}
	}
	return fmt.Sprintf("%d series, not %d", len(got), len(want))
}

// forgotten tells whether no host has a queue.
func (e *eight) forgotten() error {
	for _, host := range eightHosts() {
		dir := filepath.Join(e.DataDir(host), "metric-forwards")
		left, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return &lacking{fmt.Sprintf("%s has %v", dir, left)}
		}
	}
	return nil
}
