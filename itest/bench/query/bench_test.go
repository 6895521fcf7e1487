package query

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/sim"
)

const (
	// machines is how many there are on all hosts, with a series each: 20 on each of 1,000 hosts.
	machines = 20_000
	// steps of a range, one for each scrape.
	steps = 240
	// controllerLimit is how much of the CPU should be the controller's at most.
	controllerLimit = 0.15
)

// questions are those whose cost is compared, each at one time and at many.
var questions = []question{
	{name: "sum", expr: `sum by (host) (rate(vm_cpu_seconds_total[5m]))`},
	{name: "topk", expr: `topk(10, rate(vm_cpu_seconds_total[5m]))`},
	{name: "quantile", expr: `quantile(0.95, rate(vm_cpu_seconds_total[5m]))`},
	{name: "selector", expr: `vm_cpu_seconds_total{vm_name=~"vm-[0-9]*7"}`},
}

// TestBenchQuery prints what questions to 8, 100 and 1,000 shards cost, and what they cost one Prometheus with the same
// series: the same total at each size, so that what a shard costs by itself is seen.
func TestBenchQuery(t *testing.T) {
	if os.Getenv("NOVACRON_BENCH") != "1" {
		t.Skip("set NOVACRON_BENCH=1 to measure")
	}
	for _, hosts := range []int{8, 100, 1000} {
		if only := os.Getenv("NOVACRON_BENCH_SHARDS"); only != "" && only != strconv.Itoa(hosts) {
			continue
		}
		t.Run(fmt.Sprint(hosts), func(t *testing.T) { benchSize(t, hosts) })
	}
}

func benchSize(t *testing.T, hosts int) {
	w := sim.Workload{Hosts: hosts, Machines: machines / hosts, Interval: 15 * time.Second, Scrapes: steps + 25}
	w.Start = time.Now().Truncate(time.Second).Add(-time.Duration(w.Scrapes) * w.Interval)
	b := startSides(t, w)
	b.compare(t)
	b.costs(t)
	b.moved(t)
}

// startSides starts our processes and Prometheus with the samples of a workload.
func startSides(t *testing.T, w sim.Workload) bench {
	dir := t.TempDir()
	r := role{Dir: dir, Workload: w}
	b := bench{w: w}
	b.shards = r.start(t, hostsFile)
	r.Controller = true
	b.controller = r.start(t, apiFile)
	r.read(t, apiFile, &b.ours)
	b.theirs, b.prometheus = startPrometheus(t, filepath.Clean(dir), w)
	return b
}

// bench is one size: where both sides are, and their processes.
type bench struct {
	w                              sim.Workload
	ours, theirs                   string
	shards, controller, prometheus int
}

// both are the questions at one time and at many.
func both() (all []question) {
	for _, q := range questions {
		for _, n := range []int{1, steps} {
			q.steps = n
			all = append(all, q)
		}
	}
	return all
}

// compare insists on equal answers, and warms both sides up.
func (b bench) compare(t *testing.T) {
	for _, q := range both() {
		path := q.parameters(b.w)
		ours, theirs := parse(t, ask(t, b.ours+path)), parse(t, ask(t, b.theirs+path))
		requireSame(t, q, ours, theirs)
	}
}

// cost is what questions of one kind took on the average, and how long each waited for its answer.
type cost struct {
	shards, controller, prometheus time.Duration
	ours, theirs                   []time.Duration
}

func (c cost) plus(d cost) cost {
	return cost{shards: c.shards + d.shards, controller: c.controller + d.controller, prometheus: c.prometheus + d.prometheus}
}

func (c cost) total() time.Duration { return c.shards + c.controller }

// costs measures each question, and sums them up.
func (b bench) costs(t *testing.T) {
	var sum, pushed cost
	for _, q := range both() {
		c := b.cost(t, q)
		name := q.name + "_instant"
		if q.steps > 1 {
			name = q.name + "_range"
		}
		b.report("cpu_"+name, c.total(), c.prometheus)
		if q.name == "sum" {
			b.report("p50_"+name, percentile(c.ours, 50), percentile(c.theirs, 50))
			b.report("p99_"+name, percentile(c.ours, 99), percentile(c.theirs, 99))
			pushed = pushed.plus(c)
		}
		sum = sum.plus(c)
	}
	b.report("cpu_total", sum.total(), sum.prometheus)
	b.share("controller_share_of_sums", pushed)
	b.share("controller_share", sum)
}

// share reports which part of the CPU is the controller's.
func (b bench) share(metric string, c cost) {
	ours := c.controller.Seconds() / c.total().Seconds()
	fmt.Printf("bench query %s_%d_shards peer=limit ours=%.1f%% theirs=%.0f%% ratio=%.2f\n", metric, b.w.Hosts, 100*ours, 100*controllerLimit, controllerLimit/ours)
}

// rounds of a question: enough for percentiles of the sum, which is what dashboards are made of. That of 30 is the slowest.
func rounds(q question) int {
	switch {
	case q.name == "sum" && q.steps == 1:
		return 100
	case q.name == "sum":
		return 30
	case q.steps == 1:
		return 10
	}
	return 3
}

// cost asks both sides in turn, so that a change of the machine's pace meets both.
func (b bench) cost(t *testing.T, q question) (c cost) {
	path, n := q.parameters(b.w), time.Duration(rounds(q))
	for range n {
		shards, controller := spent(t, b.shards), spent(t, b.controller)
		c.ours = append(c.ours, timed(t, b.ours+path))
		c.shards, c.controller = c.shards+spent(t, b.shards)-shards, c.controller+spent(t, b.controller)-controller
		prometheus := spent(t, b.prometheus)
		c.theirs = append(c.theirs, timed(t, b.theirs+path))
		c.prometheus += spent(t, b.prometheus) - prometheus
	}
	c.shards, c.controller, c.prometheus = c.shards/n, c.controller/n, c.prometheus/n
	return c
}

func timed(t *testing.T, url string) time.Duration {
	began := time.Now()
	ask(t, url)
	return time.Since(began)
}

func percentile(all []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

func (b bench) report(metric string, ours, theirs time.Duration) {
	fmt.Printf("bench query %s_%d_shards peer=prometheus ours=%.2fms theirs=%.2fms ratio=%.2f\n", metric, b.w.Hosts, ms(ours), ms(theirs), ms(theirs)/ms(ours))
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// moved counts what travels between controller and shards, beside what the raw series take.
func (b bench) moved(t *testing.T) {
	q := question{expr: questions[0].expr, steps: steps}
	path := q.parameters(b.w)
	bytes := func(url string) int64 {
		before := b.bytes(t)
		ask(t, url)
		return b.bytes(t) - before
	}
	ours, theirs := bytes(b.ours+path), bytes(b.ours+"/raw"+path)
	fmt.Printf("bench query bytes_moved_%d_shards peer=raw-pull ours=%d theirs=%d ratio=%.2f\n", b.w.Hosts, ours, theirs, float64(theirs)/float64(ours))
}

func (b bench) bytes(t *testing.T) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(string(ask(t, b.ours+"/bytes"))), 10, 64)
	require.NoError(t, err)
	return n
}
