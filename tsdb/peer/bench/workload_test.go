package bench

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/prometheus/prometheus/model/labels"
)

// interval is the time between two scrapes of a host, in milliseconds.
const interval = 15_000

// jitter bounds by how many milliseconds a scrape may be late.
const jitter = 5

// workload makes the samples of hosts: 60 % counters, 25 % gauges, 15 % constants. All samples of one scrape have one
// time, some milliseconds off the plan. Hosts are made one by one, so that two writers can share them.
//
// The kinds are weighed so that Prometheus takes about 3.05 bytes for a sample in its blocks, which is what it takes of
// the metrics of hosts and their guests in practice: a time that is off by milliseconds costs it two bytes, which leaves
// one for the value. Ten counters of twelve therefore count events, small whole numbers in one scrape of four; one
// counts bytes (2.8 bytes more than the time), one has two decimals (5.5). Three gauges of five are short queues, one is
// memory in pages, one has a decimal and changes in every other scrape (3.3). TestWorkload holds this.
type workload struct {
	start   int64
	perHost int
	state   []generator
	rng     []*rand.Rand // of each host
}

// generator is one series: where it stands, and how fast it goes.
type generator struct {
	value float64
	step  float32
	base  float32
}

type kind uint8

const (
	counterEvents  kind = iota // whole numbers, some in a scrape
	counterBytes               // whole numbers, tens of thousands in a scrape
	counterSeconds             // seconds with two decimals
	gaugeQueue                 // whole numbers that go up and down by a few
	gaugeBytes                 // walks in pages of 4 KiB
	gaugePercent               // walks, one decimal
	constant
)

var names = [...]string{"events_total", "bytes_total", "seconds_total", "queued", "memory_bytes", "percent", "info"}

// kinds are those of twenty neighbours in a scrape.
var kinds = [20]kind{
	counterEvents, counterEvents, counterEvents, counterEvents, gaugeQueue, constant, counterEvents,
	counterEvents, counterSeconds, gaugeBytes, counterEvents, constant, counterEvents, gaugeQueue,
	counterEvents, counterBytes, gaugePercent, counterEvents, constant, gaugeQueue,
}

func kindOf(place int) kind { return kinds[place%len(kinds)] }

func newWorkload(series, perHost int, start int64, seed uint64) *workload {
	w := &workload{start: start, perHost: perHost, state: make([]generator, series), rng: make([]*rand.Rand, series/perHost)}
	for h := range w.rng {
		w.rng[h] = rand.New(rand.NewPCG(seed, uint64(h)))
		for i := range w.host(h) {
			w.host(h)[i] = generator{value: math.Floor(w.rng[h].Float64() * 1e6), step: float32(1 + w.rng[h].IntN(100)), base: w.rng[h].Float32()}
		}
	}
	return w
}

func (w *workload) hosts() int { return len(w.rng) }

func (w *workload) host(h int) []generator { return w.state[h*w.perHost : (h+1)*w.perHost] }

// labels are those of a series. They are made when they are asked for: what a store needs of them it keeps itself.
func (w *workload) labels(host, place int) labels.Labels {
	return labels.FromStrings(
		"__name__", "novacron_vm_"+names[kindOf(place)], "cluster", "main", "device", fmt.Sprintf("d%02d", place%50), "host", fmt.Sprintf("host-%05d", host),
		"instance", fmt.Sprintf("10.%d.%d.%d:9100", host>>16, host>>8&255, host&255), "job", "agent",
		"vm", fmt.Sprintf("vm-%05d-%02d", host, place/50), "zone", fmt.Sprintf("z%d", host%3),
	)
}

// scrape is the time and the values of a host's scrape number n; scrapes are asked for one after the other.
func (w *workload) scrape(host, n int, values []float64) (int64, []float64) {
	values = values[:0]
	rng := w.rng[host]
	for i := range w.host(host) {
		g := &w.host(host)[i]
		g.next(kindOf(i), rng)
		values = append(values, g.value)
	}
	return w.start + int64(n)*interval + int64(host*37%interval) + rng.Int64N(jitter), values
}

func (g *generator) next(k kind, rng *rand.Rand) {
	switch k {
	case counterEvents:
		if rng.IntN(4) == 0 {
			g.value += float64(rng.IntN(int(g.step)))
		}
	case counterBytes:
		g.value += math.Floor(float64(g.step) * 1000 * rng.Float64())
	case counterSeconds:
		g.value = math.Round((g.value+15*float64(g.base)*(0.9+0.2*rng.Float64()))*100) / 100
	case gaugeQueue:
		g.value = max(0, math.Mod(g.value, 100)+float64(rng.IntN(5)-2))
	case gaugeBytes:
		g.value = max(0, g.value+4096*float64(rng.IntN(64)-32))
	case gaugePercent:
		if rng.IntN(2) == 0 {
			return
		}
		g.value = math.Round(min(100, max(0, math.Mod(g.value, 100)+rng.NormFloat64()))*10) / 10
	case constant:
	}
}
