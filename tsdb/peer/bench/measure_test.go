package bench

import (
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// measuring does one job.
type measuring struct {
	store
	j      job
	w      *workload
	fill   *filling
	report report
}

// put notes a figure.
func (m *measuring) put(metric string, value float64, unit string, count int) {
	m.report[metric+m.j.Suffix] = figure{value, unit, count}
}

func equal(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, name, value)
}

func matches(name, pattern string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchRegexp, name, pattern)
}

// ingest is the time of the processor for a sample, of one writer with the upkeep that the time brings; and the most
// memory that was taken.
func (m *measuring) ingest() error {
	took, err := m.fill.all()
	if err != nil {
		return err
	}
	m.put("ingest_1core", float64(took.Nanoseconds())/float64(m.fill.samples), "ns", m.fill.samples)
	peak, err := m.peak()
	if err != nil {
		return err
	}
	m.put("rss", float64(peak)/(1<<20), "MB", 0)
	if o, is := m.store.(*ours); is {
		heap, head := o.memory()
		m.put("memory_heap", float64(heap)/(1<<20), "MB", 0)
		m.put("memory_head", float64(head)/(1<<20), "MB", 0)
	}
	return m.show()
}

// measureShard fills a store and asks it while the samples are young and when they lie on disk.
func measureShard(m *measuring) error {
	if err := m.ingest(); err != nil {
		return err
	}
	if err := m.selects(""); err != nil {
		return err
	}
	const rate = `sum by (zone) (rate({host=~"host-000[01]."}[5m]))`
	end := m.fill.now() - m.fill.now()%interval
	err := m.time("promql_sum_rate", 3, func(int64) (int, error) { return m.query(rate, max(end-3600_000, m.w.start), end, 60_000) })
	if err != nil {
		return err
	}
	if m.j.Series >= 1_000_000 {
		if err := m.regex(); err != nil {
			return err
		}
	}
	reopens := min(m.j.Rounds, max(1, 300_000/m.j.Series))
	if err := m.time("reopen", reopens, func(int64) (int, error) { return 0, m.reopen() }); err != nil {
		return err
	}
	if err := m.settled(); err != nil {
		return err
	}
	return m.selects("_disk")
}

// settled measures what all samples take on disk in the end.
func (m *measuring) settled() error {
	if err := m.settle(m.fill.now()); err != nil {
		return err
	}
	raw, windows, err := m.bytes()
	m.put("bytes_per_sample", float64(raw)/float64(m.fill.samples), "B", 0)
	if windows > 0 {
		m.put("bytes_windows", float64(windows)/float64(m.fill.samples), "B", 0)
	}
	return err
}

// selects reads raw samples. Round by round the time asked for moves, as nobody asks the same twice.
func (m *measuring) selects(suffix string) error {
	one := []*labels.Matcher{equal("__name__", "novacron_vm_events_total"), equal("vm", "vm-00003-00"), equal("device", "d00")}
	for _, c := range []struct {
		metric string
		long   int64
		rounds int
		ms     []*labels.Matcher
	}{
		{"select_1x24h", 24 * 3600_000, 20 * m.j.Rounds, one},
		{"select_1000x1h", 3600_000, 2 * m.j.Rounds, []*labels.Matcher{matches("host", "host-0000[45]")}},
		{"select_10kx5m", 300_000, 4 * m.j.Rounds, []*labels.Matcher{matches("host", "host-000[01].")}},
	} {
		if m.j.Suffix != "" && c.metric != "select_10kx5m" {
			continue
		}
		err := m.time(c.metric+suffix, c.rounds, func(back int64) (int, error) {
			end := m.fill.now() - back*interval
			return m.drain(end-c.long+1, end, c.ms)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// regex finds series by patterns, with and without a literal in front.
func (m *measuring) regex() error {
	for _, c := range [][2]string{{"regex", "vm-0012.*-0[3-5]"}, {"regex_unanchored", ".*12.*7.*-03"}} {
		metric, pattern := c[0], c[1]
		err := m.time(metric, m.j.Rounds, func(int64) (int, error) {
			return m.find(m.fill.now()-300_000, m.fill.now(), []*labels.Matcher{matches("vm", pattern)})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// time notes the least time of the processor, in milliseconds, that one of some rounds takes.
func (m *measuring) time(metric string, rounds int, do func(round int64) (int, error)) error {
	best, first := time.Duration(0), 0
	for round := range rounds {
		if err := m.j.awaitTurn(); err != nil {
			return err
		}
		before, err := m.cost()
		if err != nil {
			return err
		}
		n, err := do(int64(round % 4))
		if err != nil {
			return fmt.Errorf("%s: %w", metric, err)
		}
		after, err := m.cost()
		if err != nil {
			return err
		}
		if took := after - before; round == 0 || took < best {
			best = took
		}
		if round == 0 {
			first = n
		}
	}
	m.put(metric, float64(best.Nanoseconds())/1e6, "ms", first)
	return nil
}

// measureWriters fills a store with several writers and tells the time of the clock for a sample.
func measureWriters(m *measuring) error {
	_, err := m.fill.all()
	m.put("ingest_2core", float64(m.fill.wall.Nanoseconds())/float64(m.fill.samples), "ns", m.fill.samples)
	return err
}

// measureYear asks for a year at steps of an hour.
func measureYear(m *measuring) error {
	if _, err := m.fill.all(); err != nil {
		return err
	}
	if err := m.settle(m.fill.now()); err != nil {
		return err
	}
	const hour = 3600_000
	end := m.fill.now() - m.fill.now()%hour
	for _, c := range [][2]string{
		{"rollup_1y", `avg_over_time(novacron_vm_queued[1h])`}, {"rollup_1y_rate", `sum(rate(novacron_vm_events_total[1h]))`},
	} {
		metric, expr := c[0], c[1]
		err := m.time(metric, 12, func(int64) (int, error) { return m.query(expr, m.w.start+hour, end, hour) })
		if err != nil {
			return err
		}
	}
	return nil
}
