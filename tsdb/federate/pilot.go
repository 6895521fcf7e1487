package federate

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// A quantile is one value of many. A few series of a few shards tell about where it lies; then all shards are asked for
// the values in there, and how many are on either side. That answer shows itself whether the guess was right: nothing but
// time depends on it. The idea is Floyd and Rivest's («Expected time bounds for selection», 1975).
const (
	// pilotMembers is how many shards are asked for samples at most.
	pilotMembers = 32
	// worthwhile is the part of the values within bounds up to which there are bounds.
	worthwhile = 0.7
	// maxBounds is how many values the bounds of one question have at most, since every shard gets them.
	maxBounds = 16_384
)

// pilot finds the bounds of the parts that look for ranks or for the first values, each part's in its place; nil where no
// part does.
func (s *spread) pilot(ctx context.Context) (ranks []*Ranks, err error) {
	ranks = ranksOf(s.parts)
	for i, part := range s.parts {
		var r *Ranks
		switch {
		case part.First != nil:
			r, err = s.lead(ctx, part)
		case part.Merge == Quantile:
			r = ranks[i]
			err = s.around(ctx, part, r)
		}
		switch {
		case err != nil:
			return nil, err
		case r == nil:
			continue
		case ranks == nil:
			ranks = make([]*Ranks, len(s.parts))
		}
		ranks[i] = r
	}
	return ranks, nil
}

// around fills in between which values the quantile of a part lies, where that is worth it.
func (s *spread) around(ctx context.Context, part Part, r *Ranks) error {
	all := s.members(part.Selectors...)
	some, series := s.telling(ctx, all)
	if len(some) == 0 || series*float64(s.times.Steps()) < float64(s.opts.narrowFrom) {
		return nil
	}
	found, err := s.survey(ctx, part, r, drawn(some, pilotMembers), len(all), s.sampled(series))
	if err == nil {
		r.Bounds = found.bounds()
	}
	return err
}

// survey asks some members for about so many series. That one does not answer, or cannot, is no error: who is asked next
// says what is wrong.
func (s *spread) survey(ctx context.Context, part Part, r *Ranks, some []Member, members int, series float64) (*surveyed, error) {
	e := s.times
	e.Exprs, e.Ranks, e.MaxCells = part.Exprs, []*Ranks{r}, s.opts.MaxCells
	e.Sample = int(math.Ceil(series / float64(len(some))))
	found := newSurveyed(part.Rank, e.Steps(), members)
	found.deviations = s.opts.deviations
	_, err := each(ctx, s.opts.hasty(), some,
		func(ctx context.Context, m Member) (Partial, error) { return m.Shard.Evaluate(ctx, e) },
		func(_ Member, p Partial) error { return found.take(p, e.Sample) })
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return found, nil
}

// hasty is for questions that need no answer.
func (o Options) hasty() Options {
	o.Timeout = min(o.Timeout, o.HedgeAfter)
	o.HedgeAfter, o.Complete = 2*o.Timeout, false
	return o
}

// ranksOf has a place for each part; nil where none looks for ranks.
func ranksOf(parts []Part) (ranks []*Ranks) {
	for i, p := range parts {
		if p.Merge != Quantile {
			continue
		}
		if ranks == nil {
			ranks = make([]*Ranks, len(parts))
		}
		ranks[i] = &Ranks{Labels: p.Rank.Labels, Without: p.Rank.Without}
	}
	return ranks
}

// telling are the members that have told of themselves, so that they are likely to answer at once, and about how many series
// all have at most. Where none could, all are taken for answering and for having many.
func (s *spread) telling(ctx context.Context, all []Member) (some []Member, series float64) {
	known, knows := lately(ctx, s.directory, all)
	if !knows {
		return all, math.Inf(1)
	}
	if s.series == nil {
		s.series = make(map[string]int64, len(all))
	}
	for _, m := range all {
		if of, told := known[m.Name]; told {
			some = append(some, m)
			series += float64(of.Series)
			s.series[m.Name] = of.Series
		}
	}
	return some, series
}

// sampled is how many series of so many are to be sampled: what bounds let through is then about as much as the samples
// themselves.
func (f *Fleet) sampled(series float64) float64 {
	return min(max(math.Pow(series, 2./3), float64(f.opts.sample)), 4*float64(f.opts.sample))
}

// drawn are some of the members, one of each stretch of them.
func drawn(members []Member, most int) []Member {
	if len(members) <= most {
		return members
	}
	some := make([]Member, most)
	for i := range some {
		some[i] = members[spot(i, most, len(members), rand.Uint64())]
	}
	return some
}

// spot is a place in the i-th of some stretches of n, chosen by a number.
func spot(i, stretches, n int, by uint64) int {
	from, end := i*n/stretches, (i+1)*n/stretches
	return from + int(by%uint64(end-from))
}

// surveyed is what a pilot has found for a part.
type surveyed struct {
	rank           Rank
	steps, members int
	shards         int
	deviations     float64
	groups         map[string]*surveyedGroup
}

type surveyedGroup struct {
	labels labels.Labels
	pieces []surveyedPiece
}

// surveyedPiece are values of a shard, each of which stands for so many.
type surveyedPiece struct {
	quantileGroup
	weight float64
}

func newSurveyed(rank Rank, steps, members int) *surveyed {
	return &surveyed{rank: rank, steps: steps, members: members, groups: map[string]*surveyedGroup{}}
}

// take adds the answer of a shard, which was to read no more series than so many.
func (s *surveyed) take(p Partial, most int) error {
	rows, ranked, err := p.of(0, 1)
	if err != nil {
		return err
	}
	q := newQuantiles(s.rank, nil, s.steps)
	if err := q.add(rows, ranked); err != nil {
		return err
	}
	weight := 1.0
	if len(rows[0]) == 0 { // it has kept to the sample
		weight = max(1, float64(p.Series)/float64(most))
	}
	s.shards++
	for key, group := range q.groups {
		into := s.groups[key]
		if into == nil {
			into = &surveyedGroup{labels: group.labels}
			s.groups[key] = into
		}
		into.pieces = append(into.pieces, surveyedPiece{*group, weight})
	}
	return nil
}

// bounds are those of all groups, where they are worth it and not too many.
func (s *surveyed) bounds() (all []RankBounds) {
	if 2*s.steps*len(s.groups) > maxBounds {
		return nil
	}
	for _, group := range s.groups {
		b := RankBounds{Labels: group.labels, Low: make([]float64, s.steps), High: make([]float64, s.steps)}
		if s.bound(group, b) <= worthwhile*float64(s.steps) {
			all = append(all, b)
		}
	}
	return all
}

// bound fills in the bounds of a group, and gives the parts of the values within, summed over the steps.
func (s *surveyed) bound(group *surveyedGroup, b RankBounds) (within float64) {
	places, heaviest := make([][]int, len(group.pieces)), 0.0
	for i, p := range group.pieces {
		places[i], heaviest = make([]int, len(p.pieces)), max(heaviest, p.weight)
	}
	var of, values []float64
	ends := make([]int, len(group.pieces))
	for step := range s.steps {
		values = values[:0]
		for i := range group.pieces {
			p := &group.pieces[i]
			of, _ = p.at(step, places[i], of[:0])
			values = thinned(values, of, p.weight/heaviest)
			ends[i] = len(values)
		}
		low, high, part := s.around(values, ends)
		b.Low[step], b.High[step] = low, high
		within += part
	}
	return within
}

// thinned adds a part of the values, from all over them.
func thinned(to, values []float64, part float64) []float64 {
	n := int(math.Round(part * float64(len(values))))
	if n == len(values) {
		return append(to, values...)
	}
	for i := range n {
		to = append(to, values[i*len(values)/n])
	}
	return to
}

// around is between which values of a sample the quantile of all lies, and what part of all that may be. The values are
// those of one shard after the other, up to its end. It changes their order.
func (s *surveyed) around(values []float64, ends []int) (low, high, part float64) {
	low, high = math.NaN(), math.Inf(1)
	n, q := float64(len(values)), s.rank.Quantile
	if n == 0 {
		return low, high, 1
	}
	away := s.deviations*math.Sqrt(max(n*q*(1-q), s.spread(values, ends))) + 2
	numbers := nansFirst(values)
	if at := int(q*n-away) - 1; at >= numbers {
		place(values[numbers:], at-numbers)
		low = values[at]
	}
	if at := int(math.Ceil(q*n+away)) - 1; at >= numbers && at < len(values) {
		place(values[numbers:], at-numbers)
		high = values[at]
	}
	return low, high, min(1, 2*away/n)
}

// spread is how much the place of a value in the sample varies since some shards alone are asked, squared: shards may
// differ more from each other than their series do.
func (s *surveyed) spread(values []float64, ends []int) float64 {
	if s.shards >= s.members || len(ends) < 2 {
		return 0
	}
	sorted := slices.Clone(values)
	guess := math.NaN()
	if at, numbers := int(s.rank.Quantile*float64(len(values)-1)), nansFirst(sorted); at >= numbers {
		place(sorted[numbers:], at-numbers)
		guess = sorted[at]
	}
	before, total, from := make([]float64, len(ends)), 0.0, 0
	for i, end := range ends {
		for _, v := range values[from:end] {
			if below(v, guess) {
				before[i]++
			}
		}
		total, from = total+before[i], end
	}
	squares := 0.0
	from = 0
	for i, end := range ends {
		off := before[i] - float64(end-from)*total/float64(len(values))
		squares, from = squares+off*off, end
	}
	return squares * float64(len(ends)) / float64(len(ends)-1)
}

// widened are the bounds without those that were too narrow, on that side.
func (r *Ranks) widened(missed []miss) *Ranks {
	next := *r
	next.Bounds = slices.Clone(r.Bounds)
	for i, b := range next.Bounds {
		next.Bounds[i].Low, next.Bounds[i].High = slices.Clone(b.Low), slices.Clone(b.High)
	}
	bounds := next.byLabels()
	for _, m := range missed {
		b := bounds[string(m.labels.Bytes(nil))]
		switch {
		case b == nil: // there was no bound
		case r.First > 0:
			b.Low[m.step], b.High[m.step] = math.NaN(), math.Inf(1)
		case m.below:
			b.Low[m.step] = math.NaN()
		default:
			b.High[m.step] = math.Inf(1)
		}
	}
	return &next
}
