package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/novacron/novacron/tsdb/display"
	"github.com/novacron/novacron/tsdb/promjson"
	"github.com/novacron/novacron/tsdb/query"
	"github.com/novacron/novacron/tsdb/shard"
	"github.com/spf13/cobra"
)

// pointView is one value of an answer.
type pointView struct {
	Labels map[string]string `json:"labels"`
	Time   string            `json:"time"`
	// Value is a number as JSON writes it, NaN and infinities as text, or a histogram in the form of Prometheus's HTTP API.
	Value any `json:"value"`
	// series is the labels for people, and value what they read.
	series, value string
}

func (a *app) shardQuery(f *shardFlags) *cobra.Command {
	q := a.newQueryFlags()
	cmd := &cobra.Command{
		Use: "query [EXPR]", Short: "Ask a shard in PromQL", Args: cobra.MaximumNArgs(1),
		Long: `Evaluate PromQL at one time, or at many: from --start to --end, or over the --range up to --end. Without a time it is that
of the newest sample.

  novacron metric shard query --dir metrics 'topk(5, rate(vm_cpu_seconds_total[5m]))'
  novacron metric shard query --dir metrics 'vm_memory_used_bytes' --range 24h --step 1h -o csv
  novacron metric shard query --dir metrics 'vm_cpu_utilization_ratio' --range 24h -o plot
` + showHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := q.check(a, cmd); err != nil {
				return err
			}
			return withShard(func() (*shard.Shard, error) { return a.readShard(f) }, func(s *shard.Shard) error {
				asked, err := q.question(args, newest(s, a.io.Now()), q.show.points(a))
				if err != nil {
					return err
				}
				if q.pick.promql {
					return a.printPromQL(asked.expr)
				}
				answer, err := asked.ask(cmd.Context(), s)
				if err != nil {
					return err
				}
				return a.printAnswer(&q.show, asked, answer)
			})
		},
	}
	q.register(cmd)
	return cmd
}

// newest is the time of the newest sample, which stands for now: a shard on its own is mostly older.
func newest(s *shard.Shard, now time.Time) time.Time {
	if _, maxT, ok := s.Engine().Bounds(); ok {
		return time.UnixMilli(maxT)
	}
	return now
}

// ask evaluates the question on a shard.
func (q question) ask(ctx context.Context, s *shard.Shard) (query.Answer, error) {
	if q.instant {
		return s.Instant(ctx, q.expr, q.times.End)
	}
	return s.Range(ctx, q.expr, q.times)
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

func (a *app) printAnswer(f *showFlags, asked question, answer query.Answer) error {
	rows := answer.Rows()
	if rows == nil && answer.Value != nil && answer.Value.Type() == "string" {
		return errors.New("the answer is a text and no series: ask for numbers")
	}
	return a.printRows(f, asked, rows, notes{answer.Warnings, answer.Infos})
}

// notes are what there is to say of an answer: why it may be wrong, and what may be meant otherwise.
type notes struct{ warnings, infos []string }

func (n notes) tell(a *app) {
	for _, text := range n.warnings {
		fmt.Fprintf(a.io.Err, "warning: %s\n", clean(text))
	}
	for _, text := range n.infos {
		fmt.Fprintf(a.io.Err, "note: %s\n", clean(text))
	}
}

// printRows shows an answer in the way that was chosen.
func (a *app) printRows(f *showFlags, asked question, rows []query.Row, said notes) error {
	said.tell(a)
	return a.into(f.file, func() error { return a.printShown(f, asked.display(rows, said)) })
}

// printValues lists every value.
func (a *app) printValues(rows []query.Row) error {
	views := []pointView{}
	for _, row := range rows {
		for _, p := range row.Points {
			views = append(views, pointView{row.Labels.Map(), milliseconds(p.T), jsonValue(p), display.Name(row.Labels), textValue(p)})
		}
	}
	return list(a, pointTable(), views)
}

// jsonValue is a value as JSON can have it.
func jsonValue(p query.Point) any {
	switch {
	case p.H != nil:
		return json.RawMessage(promjson.AppendHistogram(nil, p.H))
	case math.IsNaN(p.V) || math.IsInf(p.V, 0):
		return number(p.V)
	}
	return json.Number(number(p.V))
}

// textValue is a value for people.
func textValue(p query.Point) string {
	if p.H != nil {
		return p.H.String()
	}
	return number(p.V)
}

// number writes a value with all its digits, and an exponent only where those would be too many to read.
func number(v float64) string {
	if size := math.Abs(v); size != 0 && (size < 1e-6 || size >= 1e15) || math.IsNaN(v) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func pointTable() table[pointView] {
	return table[pointView]{plural: "values", columns: []column[pointView]{
		{name: "SERIES", text: func(v pointView) string { return v.series }}, {name: "TIME", text: func(v pointView) string { return v.Time }},
		{name: "VALUE", text: func(v pointView) string { return v.value }},
	}}
}
