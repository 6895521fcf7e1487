package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/novacron/novacron/tsdb/promjson"
	"github.com/novacron/novacron/tsdb/query"
)

// errTruncated is a warning.
var errTruncated = errors.New("results truncated due to limit")

// common are the parameters that all queries have.
type common struct {
	expr  string
	limit int
	stats string
	opts  promql.QueryOpts
	// timeout is what the client gives the query; 0 leaves it at that of the request.
	timeout time.Duration
	source  Source
	// form is how the answer is written where that is not Prometheus's JSON.
	form form
}

func (a *api) commonParams(r *http.Request) (c common, err error) {
	c.expr, c.stats = r.FormValue("query"), r.FormValue("stats")
	if c.limit, err = limitParam(r, "limit", 0, 0); err != nil {
		return c, err
	}
	if c.timeout, err = durationParam(r, "timeout"); err != nil {
		return c, err
	}
	lookback, err := durationParam(r, "lookback_delta")
	if err != nil {
		return c, err
	}
	if c.form, err = formParams(r); err != nil {
		return c, err
	}
	c.opts = query.Opts{PerStep: c.stats == "all", Lookback: lookback}
	c.source, err = a.source(r, true)
	return c, err
}

// asking prepares a query.
type asking func(ctx context.Context) (promql.Query, error)

func (a *api) query(out *answer, r *http.Request) error {
	c, err := a.commonParams(r)
	if err != nil {
		return err
	}
	at, err := timeParam(r, "time", a.Now().UnixMilli())
	if err != nil {
		return err
	}
	c.form.instant = true
	return c.run(out, r, func(ctx context.Context) (promql.Query, error) {
		return a.Engine.NewInstantQuery(ctx, c.source, c.opts, c.expr, time.UnixMilli(at))
	})
}

func (a *api) queryRange(out *answer, r *http.Request) error {
	c, err := a.commonParams(r)
	if err != nil {
		return err
	}
	start, end, step, err := rangeParam(r)
	if err != nil {
		return err
	}
	c.form.step = step
	return c.run(out, r, func(ctx context.Context) (promql.Query, error) {
		return a.Engine.NewRangeQuery(ctx, c.source, c.opts, c.expr, time.UnixMilli(start), time.UnixMilli(end), time.Duration(step)*time.Millisecond)
	})
}

// run evaluates and sends the result.
func (c common) run(out *answer, r *http.Request, ask asking) error {
	ctx := r.Context()
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	asked, err := ask(ctx)
	if err != nil {
		return prepareError(ctx, err)
	}
	defer func() { asked.Close() }()
	result := asked.Exec(ctx)
	if result.Err != nil {
		return c.explain(ctx, result.Err)
	}
	notes := result.Warnings
	if truncate(result, c.limit) {
		notes = notes.Add(errTruncated)
	}
	if c.stats != "" && c.stats != "true" && c.stats != "all" {
		notes = notes.Add(fmt.Errorf("parameter \"stats\" is %s: it should be true or all", shown(c.stats)))
	}
	if c.form.Format != "" {
		return c.render(out, result.Value, notes)
	}
	return c.send(out, asked, result, notes)
}

// prepareError tells an expression that cannot be read from a query that did not get its turn.
func prepareError(ctx context.Context, err error) error {
	var limit *query.LimitError
	if errors.As(err, &limit) || ctx.Err() != nil {
		return err
	}
	return badParam("query", err)
}

// explain tells the client that it was its own timeout that ended the query.
func (c common) explain(ctx context.Context, err error) error {
	if c.timeout > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &failure{timeout, fmt.Errorf("the query took longer than its parameter \"timeout\", %s: ask for less, or give it more time (%w)", c.timeout, err)}
	}
	return err
}

// truncate shortens a result to its limit.
func truncate(result *promql.Result, limit int) bool {
	if limit <= 0 {
		return false
	}
	switch v := result.Value.(type) {
	case promql.Matrix:
		if len(v) > limit {
			result.Value = v[:limit]
			return true
		}
	case promql.Vector:
		if len(v) > limit {
			result.Value = v[:limit]
			return true
		}
	}
	return false
}

func (c common) send(out *answer, asked promql.Query, result *promql.Result, notes annotations.Annotations) error {
	out.begin()
	out.buf = promjson.AppendString(append(out.buf, `{"resultType":`...), string(result.Value.Type()))
	out.buf = append(out.buf, `,"result":`...)
	if err := out.value(result.Value); err != nil {
		return err
	}
	if c.stats != "" {
		text, err := json.Marshal(stats.NewQueryStats(asked.Stats()))
		if err != nil {
			return err
		}
		out.buf = append(append(out.buf, `,"stats":`...), text...)
	}
	out.buf = append(out.buf, '}')
	out.finish(notes, c.expr)
	return nil
}

// value sends a result.
func (a *answer) value(value parser.Value) error {
	switch v := value.(type) {
	case promql.Scalar:
		a.buf = append(strconv.AppendFloat(append(promjson.AppendTime(append(a.buf, '['), v.T), `,"`...), v.V, 'f', -1, 64), `"]`...) // without an exponent
	case promql.String:
		a.buf = append(promjson.AppendString(append(promjson.AppendTime(append(a.buf, '['), v.T), ','), v.V), ']')
	case promql.Vector:
		return each(a, v, func(s promql.Sample) error {
			a.buf = promjson.AppendSample(a.buf, s)
			return nil
		})
	case promql.Matrix:
		return each(a, v, a.series)
	default:
		return fmt.Errorf("a query gave a %T, which has no form in JSON", value)
	}
	return nil
}

// each sends a list, entry after entry.
func each[T any](a *answer, list []T, add func(T) error) error {
	return sequence(a, slices.Values(list), add)
}

// sequence is each for entries that come one by one.
func sequence[T any](a *answer, entries iter.Seq[T], add func(T) error) error {
	a.buf = append(a.buf, '[')
	first := true
	for entry := range entries {
		if !first {
			a.buf = append(a.buf, ',')
		}
		first = false
		if err := add(entry); err != nil {
			return err
		}
		if err := a.flow(); err != nil {
			return err
		}
	}
	a.buf = append(a.buf, ']')
	return nil
}

func (a *api) queryExemplars(out *answer, r *http.Request) error {
	start, end, err := timesParam(r)
	if err != nil {
		return err
	}
	if end < start {
		return badParam("end", fmt.Errorf("end timestamp must not be before start timestamp: %s is before %s", shown(r.FormValue("end")), shown(r.FormValue("start"))))
	}
	source, err := a.source(r, true)
	if err != nil {
		return err
	}
	tree, err := a.parser.ParseExpr(r.FormValue("query"))
	if err != nil {
		return badParam("query", err)
	}
	return exemplars(r.Context(), out, source, start, end, parser.ExtractSelectors(tree))
}

// warner is a querier of exemplars that knows what its last answer lacks: Prometheus's has no warnings.
type warner interface {
	Warnings() annotations.Annotations
}

func exemplars(ctx context.Context, out *answer, source Source, start, end int64, selectors [][]*labels.Matcher) error {
	out.begin()
	if len(selectors) == 0 {
		out.buf = append(out.buf, "[]"...)
		out.finish(nil, "")
		return nil
	}
	querier, err := source.ExemplarQuerier(ctx)
	if err != nil {
		return err
	}
	found, err := querier.Select(start, end, selectors...)
	if err != nil {
		return err
	}
	var notes annotations.Annotations
	if teller, tells := querier.(warner); tells {
		notes = teller.Warnings()
	}
	err = each(out, found, func(s exemplar.QueryResult) error {
		out.buf = append(promjson.AppendLabels(append(out.buf, `{"seriesLabels":`...), s.SeriesLabels), `,"exemplars":`...)
		err := each(out, s.Exemplars, func(e exemplar.Exemplar) error {
			out.buf = promjson.AppendExemplar(out.buf, e)
			return nil
		})
		out.buf = append(out.buf, '}')
		return err
	})
	out.finish(notes, "")
	return err
}
