package federate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate/normal"
	"github.com/novacron/novacron/tsdb/query"
)

// admit refuses a plan that reads more series than a query may, before a sample is read. The shards are asked how many
// there are only where their indexes have so many, and for each selector between the times that it reads itself.
func (f *Fleet) admit(ctx context.Context, p *planned, limits query.Limits) error {
	rows, asked := foreseen(p.rows), Estimation{}
	for _, read := range append(rows, foreseen(p.rawReads)...) {
		minT, maxT := read.Bounds(p.times.Start, p.times.last())
		asked.Selectors, asked.Bounds = append(asked.Selectors, read.Matchers), append(asked.Bounds, Bounds{minT, maxT})
	}
	asked.Min, asked.Max = p.bounds()
	if len(asked.Selectors) == 0 || f.few(ctx, asked.Selectors, p.times.Steps(), limits) {
		return nil
	}
	counts, _, err := f.estimate(ctx, asked) // who is silent now is told of by the answer
	if err != nil {
		return nil //nolint:nilerr // who cannot count may still be able to answer, and the limits hold then, too
	}
	series, cells := int64(0), int64(0)
	for i, n := range counts {
		series += n.Least
		if i < len(rows) {
			cells += n.Least * int64(p.times.Steps())
		}
		if most := int64(limits.Series); series > most {
			return &query.LimitError{Limit: "series", Reached: fmt.Sprintf("%d by the indexes of the hosts, before any was read", series), Max: fmt.Sprint(most),
				Way: fmt.Sprintf("name more labels in %s, or aggregate", textOf(asked.Selectors[i]))}
		}
		if cells > int64(f.opts.MaxCells) {
			return &query.LimitError{Limit: "bytes", Reached: fmt.Sprintf("%d values (%d series at %d times) by the indexes of the hosts, before any was read", cells, series, p.times.Steps()),
				Max: fmt.Sprintf("%d values", f.opts.MaxCells), Way: "aggregate, name more labels in the selectors, or ask for fewer steps"}
		}
	}
	return nil
}

// foreseen are those of which it can be told what they read.
func foreseen(all []normal.Read) []normal.Read {
	return slices.DeleteFunc(slices.Clone(all), func(r normal.Read) bool { return r.Unknown })
}

// few tells whether all series of the hosts that are asked come to less than the limits.
func (f *Fleet) few(ctx context.Context, selectors [][]*labels.Matcher, steps int, limits query.Limits) bool {
	members, all := f.members(selectors...), int64(0)
	known, knows := lately(ctx, f.directory, members)
	if !knows {
		return true // nobody could tell
	}
	for _, m := range members {
		all += known[m.Name].Series
	}
	all *= int64(len(selectors))
	return all <= int64(limits.Series) && all*int64(steps) <= int64(f.opts.MaxCells)
}

// errCannotCount is that a shard does not count series.
var errCannotCount = errors.New("the shard does not count series")

// estimate counts the series of selectors on all hosts that may have some. Hosts that do not answer count nothing, and are told.
func (f *Fleet) estimate(ctx context.Context, e Estimation) ([]engine.Estimate, *MissingError, error) {
	all := make([]engine.Estimate, len(e.Selectors))
	partial := *f
	partial.opts.Complete = false
	silent, err := each(ctx, partial.opts, f.members(e.Selectors...), func(ctx context.Context, m Member) ([]engine.Estimate, error) {
		estimator, can := bare(m).Shard.(Estimator)
		if !can {
			return nil, errCannotCount
		}
		return estimator.Estimate(ctx, e)
	}, func(_ Member, counts []engine.Estimate) error {
		if len(counts) != len(all) {
			return fmt.Errorf("a shard counts %d selectors of %d", len(counts), len(all))
		}
		for i, n := range counts {
			all[i].Least += n.Least
			all[i].Likely += n.Likely
		}
		return nil
	})
	return all, silent, err
}

// estimates counts the series of each selector of a plan, between the times that it reads.
func (f *Fleet) estimates(ctx context.Context, p *planned) ([]SelectorEstimate, *MissingError, error) {
	asked, texts := p.estimation()
	if len(asked.Selectors) == 0 {
		return nil, nil, nil
	}
	counts, silent, err := f.estimate(ctx, asked)
	if err != nil {
		return nil, nil, err
	}
	all := make([]SelectorEstimate, len(counts))
	for i, n := range counts {
		all[i] = SelectorEstimate{texts[i], n}
	}
	return all, silent, nil
}

// estimation asks for all that a plan reads, each selector once for equal times. The texts tell apart what differs by its
// times alone.
func (p *planned) estimation() (asked Estimation, texts []string) {
	type read struct {
		text  string
		times Bounds
	}
	asked.Min, asked.Max = p.bounds()
	seen, often := map[read]bool{}, map[string]int{}
	for _, one := range p.reach.Reads {
		times := Bounds{asked.Min, asked.Max}
		if !one.Unknown {
			times.Min, times.Max = one.Bounds(p.times.Start, p.times.last())
		}
		matchers := normal.Matchers(one.Matchers)
		if key := (read{textOf(matchers), times}); !seen[key] {
			seen[key] = true
			often[key.text]++
			asked.Selectors, asked.Bounds, texts = append(asked.Selectors, matchers), append(asked.Bounds, times), append(texts, key.text)
		}
	}
	for i, text := range texts {
		if often[text] > 1 {
			texts[i] += fmt.Sprintf(" from %s to %s", timeText(asked.Bounds[i].Min), timeText(asked.Bounds[i].Max))
		}
	}
	return asked, texts
}

func timeText(t int64) string { return time.UnixMilli(t).UTC().Format(time.RFC3339) }

// textOf is a selector as it is written.
func textOf(matchers []*labels.Matcher) string {
	text := "{"
	for i, m := range matchers {
		if i > 0 {
			text += ","
		}
		text += m.String()
	}
	return text + "}"
}
