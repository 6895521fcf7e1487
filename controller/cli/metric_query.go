package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/novacron/novacron/tsdb/query"
	"github.com/novacron/novacron/tsdb/shard"
	"github.com/spf13/cobra"
)

// queryFlags say when a query is evaluated.
type queryFlags struct {
	at, start, end instant
	length, step   duration
}

// pointView is one value of an answer.
type pointView struct {
	Labels map[string]string `json:"labels"`
	Time   string            `json:"time"`
	// Value is a number as JSON writes it, NaN and infinities as text, or a histogram.
	Value any `json:"value"`
	// series is the labels for people.
	series string
}

func (a *app) shardQuery(f *shardFlags) *cobra.Command {
	q := &queryFlags{}
	for _, at := range []*instant{&q.at, &q.start, &q.end} {
		at.now = a.io.Now
	}
	cmd := &cobra.Command{
		Use: "query EXPR", Short: "Ask a shard in PromQL", Args: cobra.ExactArgs(1),
		Long: `Evaluate PromQL at one time, or at many with --step: from --start to --end, or over the --range up to --end.
Without a time it is that of the newest sample.

  novacron metric shard query --dir metrics 'topk(5, rate(vm_cpu_seconds_total[5m]))'
  novacron metric shard query --dir metrics 'vm_memory_used_bytes' --range 24h --step 1h -o csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(notBoth(cmd, "time", "start", "end", "range", "step"), notBoth(cmd, "start", "range")); err != nil {
				return err
			}
			return withShard(func() (*shard.Shard, error) { return a.readShard(f) }, func(s *shard.Shard) error {
				answer, err := q.ask(cmd.Context(), s, args[0], a.io.Now())
				if err != nil {
					return err
				}
				return a.printAnswer(answer)
			})
		},
	}
	cmd.Flags().Var(&q.at, "time", "when to evaluate")
	cmd.Flags().Var(&q.start, "start", "first time of a range")
	cmd.Flags().Var(&q.end, "end", "last time of a range")
	cmd.Flags().Var(&q.length, "range", "length of a range that has no --start, such as 24h")
	cmd.Flags().Var(&q.step, "step", "time from one point to the next, such as 1m")
	return cmd
}

// notBoth refuses a flag that stands beside one of others.
func notBoth(cmd *cobra.Command, flag string, others ...string) error {
	for _, other := range others {
		if cmd.Flags().Changed(flag) && cmd.Flags().Changed(other) {
			return usagef("--%s and --%s exclude each other: say one of them", flag, other)
		}
	}
	return nil
}

// ask evaluates an expression. The newest sample stands for now: a shard on its own is mostly older.
func (q *queryFlags) ask(ctx context.Context, s *shard.Shard, expr string, now time.Time) (query.Answer, error) {
	latest := now
	if _, maxT, ok := s.Engine().Bounds(); ok {
		latest = time.UnixMilli(maxT)
	}
	if q.step.Duration == 0 {
		if !q.start.at.IsZero() || q.length.Duration != 0 || !q.end.at.IsZero() {
			return query.Answer{}, usagef("a range needs --step: the time from one point to the next")
		}
		return s.Instant(ctx, expr, q.at.or(latest))
	}
	r := query.Range{End: q.end.or(latest), Step: time.Duration(q.step.Duration)}
	switch {
	case !q.start.at.IsZero():
		r.Start = q.start.at
	case q.length.Duration != 0:
		r.Start = r.End.Add(-time.Duration(q.length.Duration))
	default:
		return query.Answer{}, usagef("--step goes with --range or --start: since when")
	}
	return s.Range(ctx, expr, r)
}

func (a *app) printAnswer(answer query.Answer) error {
	rows := answer.Rows()
	if rows == nil && answer.Value != nil && answer.Value.Type() == "string" {
		return errors.New("the answer is a text and no series: ask for numbers")
	}
	return a.printRows(rows, append(answer.Warnings, answer.Infos...))
}

func (a *app) printRows(rows []query.Row, notes []string) error {
	for _, note := range notes {
		fmt.Fprintf(a.io.Err, "warning: %s\n", clean(note))
	}
	views := []pointView{}
	for _, row := range rows {
		for _, p := range row.Points {
			views = append(views, pointView{row.Labels.Map(), milliseconds(p.T), jsonValue(p), row.Labels.String()})
		}
	}
	return list(a, pointTable(), views)
}

// jsonValue is a value as JSON can have it.
func jsonValue(p query.Point) any {
	switch {
	case p.H != nil:
		return p.H
	case math.IsNaN(p.V) || math.IsInf(p.V, 0):
		return number(p.V)
	}
	return json.Number(number(p.V))
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func pointTable() table[pointView] {
	return table[pointView]{plural: "values", columns: []column[pointView]{
		{name: "SERIES", text: func(v pointView) string { return v.series }}, {name: "TIME", text: func(v pointView) string { return v.Time }},
		{name: "VALUE", text: func(v pointView) string { return fmt.Sprint(v.Value) }},
	}}
}
