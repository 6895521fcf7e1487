package httpapi

import (
	"context"
	"math"
	"net/http"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/novacron/novacron/tsdb/promjson"
)

// lookup are the parameters of questions for labels and series.
type lookup struct {
	start, end int64
	limit      int
	sets       [][]*labels.Matcher
	querier    storage.Querier
}

// lookup reads the parameters and opens what they ask; the caller closes its querier.
func (a *api) lookup(r *http.Request) (l lookup, err error) {
	if l.limit, err = limitParam(r, "limit", 0, 0); err != nil {
		return l, err
	}
	if l.start, l.end, err = timesParam(r); err != nil {
		return l, err
	}
	if l.sets, err = a.matchersParam(r); err != nil {
		return l, err
	}
	source, err := a.source(r, true)
	if err != nil {
		return l, err
	}
	l.querier, err = source.Querier(l.start, l.end)
	return l, err
}

// more is one above the limit, which shows whether there is more; 0 is no limit.
func (l lookup) more() int {
	if l.limit == 0 || l.limit == math.MaxInt {
		return l.limit
	}
	return l.limit + 1
}

// listing lists names or values of the series that match.
type listing func(ctx context.Context, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error)

func (a *api) labelNames(out *answer, r *http.Request) error {
	l, err := a.lookup(r)
	if err != nil {
		return err
	}
	defer func() { _ = l.querier.Close() }() // reading is over
	return l.list(out, r, l.querier.LabelNames)
}

func (a *api) labelValues(out *answer, r *http.Request) error {
	name, err := labelParam(r)
	if err != nil {
		return err
	}
	l, err := a.lookup(r)
	if err != nil {
		return err
	}
	defer func() { _ = l.querier.Close() }() // reading is over
	return l.list(out, r, func(ctx context.Context, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
		return l.querier.LabelValues(ctx, name, hints, matchers...)
	})
}

// list asks for each selector and sends what they have together.
func (l lookup) list(out *answer, r *http.Request, ask listing) error {
	sets := l.sets
	if len(sets) == 0 {
		sets = [][]*labels.Matcher{nil}
	}
	var all []string
	var notes annotations.Annotations
	for _, matchers := range sets {
		some, warnings, err := ask(r.Context(), &storage.LabelHints{Limit: l.more()}, matchers...)
		if err != nil {
			return err
		}
		notes = notes.Merge(warnings)
		all = append(all, some...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if l.limit > 0 && len(all) > l.limit {
		all, notes = all[:l.limit], notes.Add(errTruncated)
	}
	out.begin()
	err := each(out, all, func(text string) error {
		out.buf = promjson.AppendString(out.buf, text)
		return nil
	})
	out.finish(notes, "")
	return err
}

func (a *api) series(out *answer, r *http.Request) error {
	if len(r.Form["match[]"]) == 0 {
		return &failure{badData, errNoMatch}
	}
	l, err := a.lookup(r)
	if err != nil {
		return err
	}
	defer func() { _ = l.querier.Close() }() // reading is over
	set := l.open(r.Context())
	notes := annotations.Annotations{}
	out.begin()
	err = sequence(out, l.walk(r.Context(), set, &notes), func(lset labels.Labels) error {
		out.buf = promjson.AppendLabels(out.buf, lset)
		return nil
	})
	if err != nil {
		return err
	}
	if err := set.Err(); err != nil {
		return err
	}
	if err := r.Context().Err(); err != nil {
		return err
	}
	out.finish(notes.Merge(set.Warnings()), "")
	return nil
}

// open selects the series of all selectors, each once. PromQL's name for a question that reads no samples is «series».
func (l lookup) open(ctx context.Context) storage.SeriesSet {
	hints := &storage.SelectHints{Start: l.start, End: l.end, Func: "series", Limit: l.more()}
	if len(l.sets) == 1 {
		return l.querier.Select(ctx, false, hints, l.sets[0]...)
	}
	var sets []storage.SeriesSet
	for _, matchers := range l.sets {
		sets = append(sets, l.querier.Select(ctx, true, hints, matchers...))
	}
	return storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge)
}

// walk yields the labels of the series up to the limit, and stops when time is up.
func (l lookup) walk(ctx context.Context, set storage.SeriesSet, notes *annotations.Annotations) func(func(labels.Labels) bool) {
	return func(yield func(labels.Labels) bool) {
		for n := 0; set.Next(); n++ {
			if l.limit > 0 && n == l.limit {
				*notes = notes.Add(errTruncated)
				return
			}
			if ctx.Err() != nil || !yield(set.At().Labels()) {
				return
			}
		}
	}
}
