package sim

import (
	"fmt"
	"time"

	"github.com/novacron/novacron/tsdb"
)

// Workload makes the metrics of virtual machines on hosts. It has no state: whoever asks for the same scrape, in whatever
// process, gets the same samples.
type Workload struct {
	// Hosts is how many there are; each has Machines.
	Hosts, Machines int
	// Start is the time of the first of Scrapes, which are Interval apart.
	Start    time.Time
	Interval time.Duration
	Scrapes  int
	// Gauges gives each machine a gauge beside its counter.
	Gauges bool
}

// zones is how many zones the hosts are spread over.
const zones = 10

// HostName is the name of a host by its number.
func HostName(host int) string { return fmt.Sprintf("host-%04d", host) }

// End is the time of the last scrape.
func (w Workload) End() time.Time { return w.time(w.Scrapes - 1) }

func (w Workload) time(scrape int) time.Time {
	return w.Start.Add(time.Duration(scrape) * w.Interval)
}

// Series is how many series there are on all hosts.
func (w Workload) Series() int { return w.Hosts * w.Machines * w.perMachine() }

func (w Workload) perMachine() int {
	if w.Gauges {
		return 2
	}
	return 1
}

// Labels are those of a machine of a host.
func (w Workload) Labels(host, machine int) map[string]string {
	return map[string]string{"host": HostName(host), "zone": fmt.Sprintf("zone-%d", host%zones), "vm_name": fmt.Sprintf("vm-%d", host*w.Machines+machine)}
}

// Scrape is what all machines of a host tell at one time, the machines in order, the counter of each first. The labels
// of the machines are those that are given.
func (w Workload) Scrape(host, scrape int, labels []map[string]string) []tsdb.Metric {
	all := make([]tsdb.Metric, 0, len(labels)*w.perMachine())
	at := w.time(scrape)
	for machine, of := range labels {
		n := uint64(host*w.Machines + machine)
		all = append(all, tsdb.Metric{Name: "vm_cpu_seconds_total", Type: tsdb.TypeCounter, Labels: of, Value: w.cpu(n, scrape), Timestamp: at})
		if w.Gauges {
			all = append(all, tsdb.Metric{Name: "vm_memory_used_bytes", Type: tsdb.TypeGauge, Labels: of, Value: memory(n, scrape), Timestamp: at})
		}
	}
	return all
}

// cpu is a counter of nanoseconds, as hypervisors count, that is busy to a varying degree. One machine of ten is restarted
// once.
func (w Workload) cpu(machine uint64, scrape int) float64 {
	since := scrape
	if at := int(noise(machine) % 100); machine%10 == 3 && scrape >= at {
		since = scrape - at
	}
	step := 1_000_000_000 * (1 + machine%15) // what a scrape adds on the average
	return float64(uint64(since)*step+noise(machine<<20|uint64(scrape))%step) / 1e9
}

// memory is a gauge in pages of 4 KiB around a size of the machine's own.
func memory(machine uint64, scrape int) float64 {
	return float64(4096 * (100_000 + noise(machine)%100_000 + noise(machine<<20|uint64(scrape))%5_000))
}

// noise is a number that looks random: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
func noise(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
