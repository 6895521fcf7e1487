package fast

import (
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"
)

// tally counts samples as upstream's evaluator would hold and read them, so that its limits and statistics stay: held at
// one time, of which most are allowed and peak is the highest count; and by step those that a step looked at (total) and
// those that no step before had (read).
type tally struct {
	held, most, peak int
	total, read      []int64
}

// errTooMany is upstream's, for more samples at one time than it is allowed.
const errTooMany = promql.ErrTooManySamples("query execution")

// hold counts n more samples, or fewer.
func (t *tally) hold(n int) error {
	t.held += n
	return t.pass(0)
}

// pass counts n samples that are held for a moment.
func (t *tally) pass(n int) error {
	t.peak = max(t.peak, t.held+n)
	if t.held+n > t.most {
		return errTooMany
	}
	return nil
}

// report adds the counts to upstream's statistics of a query. Where one evaluation stands for all steps, each of them
// looked at its samples, and the first one read them.
func (t *tally) report(s *stats.QuerySamples, p *Plan, series int) {
	s.InitStepTracking(p.start, p.start+int64(p.answers-1)*p.step, p.step)
	s.UpdatePeak(t.peak)
	if counts, is := any(s).(interface{ IncrementSeries(n int64) }); is { // since v0.316.0
		counts.IncrementSeries(int64(series))
	}
	for step := range p.answers {
		from := min(step, p.steps-1)
		s.IncrementSamplesAtStep(step, t.total[from])
		if from == step {
			s.IncrementSamplesReadAtStep(step, t.read[from])
		}
	}
}

// notes are annotations. The last metric that was told of is known: neighbours tell the same.
type notes struct {
	all      annotations.Annotations
	lastName string
}

func (n *notes) add(err error) { n.all.Add(err) }

func (n *notes) merge(more annotations.Annotations) {
	if len(more) > 0 {
		n.all.Merge(more)
	}
}
