package query

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/novacron/novacron/itest/sim"
)

const (
	// dashboardHosts have dashboardMachines each, of which there is a counter and a gauge.
	dashboardHosts, dashboardMachines = 20, 25
	// A dashboard shows dashboardRange by dashboardStep, and is drawn anew each dashboardRefresh.
	dashboardRange, dashboardStep, dashboardRefresh = 6 * time.Hour, time.Minute, 15 * time.Second
	// refreshes are measured after the first time that it is opened.
	refreshes = 8
	// viewers open it at one time.
	viewers = 10
)

// panels are what a dashboard of a cluster shows.
var panels = []string{
	`sum by (zone) (rate(vm_cpu_seconds_total[5m]))`,
	`sum(rate(vm_cpu_seconds_total[5m]))`,
	`topk(5, sum by (host) (rate(vm_cpu_seconds_total[5m])))`,
	`max by (zone) (rate(vm_cpu_seconds_total[5m]))`,
	`quantile(0.95, rate(vm_cpu_seconds_total[5m]))`,
	`count(rate(vm_cpu_seconds_total[5m]) > 0.5)`,
	`sum by (zone) (vm_memory_used_bytes)`,
	`avg by (host) (vm_memory_used_bytes)`,
	`max(vm_memory_used_bytes) / avg(vm_memory_used_bytes)`,
	`sum by (zone) (avg_over_time(vm_memory_used_bytes[10m]))`,
	`count by (host) (vm_memory_used_bytes)`,
	`vm_memory_used_bytes{host="` + sim.HostName(7) + `"}`,
}

// askedClock is the end of the newest range that was asked for: the samples are all there from the beginning, and
// dashboards ask for them as if they came.
type askedClock struct{ newest atomic.Int64 } // milliseconds

func (c *askedClock) time() time.Time { return time.UnixMilli(c.newest.Load()) }

func (c *askedClock) follow(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if end, err := strconv.ParseFloat(r.URL.Query().Get("end"), 64); err == nil {
			c.newest.Store(max(c.newest.Load(), int64(end*1000)))
		}
		next.ServeHTTP(w, r)
	})
}

// panel is the address of a panel that is drawn at a time: pages that draw them align the range to its step.
func panel(expr string, at time.Time) string {
	end := at.Truncate(dashboardStep).Add(between)
	form := url.Values{
		"query": {expr}, "partial_response": {"0"}, "start": {seconds(end.Add(-dashboardRange))}, "end": {seconds(end)},
		"step": {strconv.Itoa(int(dashboardStep.Seconds()))},
	}
	return "/api/v1/query_range?" + form.Encode()
}

// TestBenchDashboard prints what a dashboard costs that is open for a while, and opened by many at one time, with the cache of
// results, without, and with one Prometheus that has all series.
func TestBenchDashboard(t *testing.T) {
	if os.Getenv("NOVACRON_BENCH") != "1" {
		t.Skip("set NOVACRON_BENCH=1 to measure")
	}
	if only := os.Getenv("NOVACRON_BENCH_SHARDS"); only != "" && only != strconv.Itoa(dashboardHosts) {
		t.Skip("only other sizes are measured")
	}
	w := sim.Workload{Hosts: dashboardHosts, Machines: dashboardMachines, Interval: 15 * time.Second, Gauges: true}
	w.Scrapes = int((dashboardRange+15*time.Minute)/w.Interval) + (refreshes + 1)
	w.Start = time.Now().Truncate(time.Minute).Add(-time.Duration(w.Scrapes) * w.Interval)
	d := dashboard{startSides(t, w), w.End().Add(-refreshes * dashboardRefresh)}
	d.compare(t)
	d.open(t)
	d.openByMany(t)
}

// dashboard is drawn for the first time at a time.
type dashboard struct {
	bench
	opened time.Time
}

func (d dashboard) cached() string { return d.ours + "/cached" }

// compare insists on the same values, also when the cache has some, and warms all up.
func (d dashboard) compare(t *testing.T) {
	for _, expr := range panels {
		for _, ago := range []time.Duration{2 * dashboardStep, 0} {
			path, q := panel(expr, d.opened.Add(-ago)), question{expr: expr}
			theirs := parse(t, ask(t, d.theirs+path))
			requireSame(t, q, parse(t, ask(t, d.ours+path)), theirs)
			requireSame(t, q, parse(t, ask(t, d.cached()+path)), theirs)
		}
	}
}

// drawn is what it took to draw a dashboard some times.
type drawn struct {
	cpu   time.Duration
	times []time.Duration
}

// draw adds what it takes to draw all panels at a time.
func (d *drawn) draw(t *testing.T, b bench, url string, at time.Time) {
	cpu := func() time.Duration {
		if url == b.theirs {
			return spent(t, b.prometheus)
		}
		return spent(t, b.shards) + spent(t, b.controller)
	}
	before, began := cpu(), time.Now()
	for _, expr := range panels {
		ask(t, url+panel(expr, at))
	}
	d.times = append(d.times, time.Since(began))
	d.cpu += cpu() - before
}

// open draws it each 15 s of the samples' time, in turn on all sides.
func (d dashboard) open(t *testing.T) {
	var cached, uncached, prometheus drawn
	for n := range refreshes {
		at := d.opened.Add(time.Duration(n+1) * dashboardRefresh)
		cached.draw(t, d.bench, d.cached(), at)
		uncached.draw(t, d.bench, d.ours, at)
		prometheus.draw(t, d.bench, d.theirs, at)
	}
	for peer, other := range map[string]drawn{"uncached": uncached, "prometheus": prometheus} {
		d.line("dashboard_cpu", peer, cached.cpu/refreshes, other.cpu/refreshes)
		d.line("dashboard_p50", peer, percentile(cached.times, 50), percentile(other.times, 50))
		d.line("dashboard_p99", peer, percentile(cached.times, 99), percentile(other.times, 99))
	}
}

// openByMany has some open it at one time, for times that nobody has asked for.
func (d dashboard) openByMany(t *testing.T) {
	shared, each := d.many(t, d.cached(), 10*time.Second), d.many(t, d.ours, 20*time.Second)
	d.line(fmt.Sprintf("dashboard_opened_by_%d_cpu", viewers), "uncached", shared, each)
}

func (d dashboard) many(t *testing.T, url string, after time.Duration) time.Duration {
	before := spent(t, d.shards) + spent(t, d.controller)
	var all sync.WaitGroup
	for range viewers {
		all.Go(func() {
			for _, expr := range panels {
				answer, err := client.Get(url + panel(expr+" + 0", d.opened.Add(after)))
				if err != nil {
					t.Error(err)
					continue
				}
				if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
					t.Error(answer.Status, err)
				}
				_ = answer.Body.Close() // it was read
			}
		})
	}
	all.Wait()
	return spent(t, d.shards) + spent(t, d.controller) - before
}

func (d dashboard) line(metric, peer string, ours, theirs time.Duration) {
	fmt.Printf("bench query %s_%d_shards peer=%s ours=%.2fms theirs=%.2fms ratio=%.2f\n", metric, d.w.Hosts, peer, ms(ours), ms(theirs), ms(theirs)/ms(ours))
}
