package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/query"
)

const (
	// autoPoints is about how many points a range has whose step is found by itself.
	autoPoints = 240
	// leastStep is the shortest of such a step: how often hosts are measured.
	leastStep = 15 * time.Second
)

// metricQuery asks the shards of all hosts.
func (a *app) metricQuery() *cobra.Command {
	q, step, complete := &queryFlags{}, "", false
	for _, at := range []*instant{&q.at, &q.start, &q.end} {
		at.now = a.io.Now
	}
	cmd := &cobra.Command{
		Use: "query EXPR", Short: "Ask all hosts in PromQL", Args: cobra.ExactArgs(1),
		Long: `Evaluate PromQL over the metrics of all hosts: now, at --time, or at many times with --range or --start. Hosts that do not
answer are told in a warning; with --complete there is no answer then.

  novacron metric query 'topk(5, sum by (vm_name) (rate(vm_cpu_seconds_total[5m])))'
  novacron metric query 'sum by (host) (host_memory_available_bytes)' --range 6h -o csv
  novacron metric query 'vm_memory_used_bytes{vm_name="web-1"}' --start 2026-01-31 --end 2026-02-01 --step 1h`,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client, args []string) error {
		if err := errors.Join(notBoth(cmd, "time", "start", "end", "range", "step"), notBoth(cmd, "start", "range")); err != nil {
			return err
		}
		request, err := q.request(args[0], step, a.io.Now())
		if err != nil {
			return err
		}
		request.Complete = complete
		rows, notes, err := c.ask(ctx, request)
		if err != nil {
			return err
		}
		return a.printRows(rows, notes)
	})
	cmd.Flags().Var(&q.at, "time", "when to evaluate")
	cmd.Flags().Var(&q.start, "start", "first time of a range")
	cmd.Flags().Var(&q.end, "end", "last time of a range (default now)")
	cmd.Flags().Var(&q.length, "range", "length of a range that has no --start, such as 24h")
	cmd.Flags().StringVar(&step, "step", "auto", "`duration` from one point to the next, such as 1m; auto gives about 240 points")
	cmd.Flags().BoolVar(&complete, "complete", false, "fail when a host does not answer")
	return cmd
}

// request is the question for the flags.
func (q *queryFlags) request(expr, step string, now time.Time) (*pb.QueryMetricsRequest, error) {
	r := &pb.QueryMetricsRequest{Query: expr}
	start, end := q.start.at, q.end.or(now)
	if q.length.Duration != 0 {
		start = end.Add(-time.Duration(q.length.Duration))
	}
	if start.IsZero() {
		if !q.end.at.IsZero() || step != "auto" {
			return nil, usagef("--end and --step are of a range: say --range or --start, too")
		}
		if !q.at.at.IsZero() {
			r.Time = timestamppb.New(q.at.at)
		}
		return r, nil
	}
	every, err := stepOf(step, end.Sub(start))
	if err != nil {
		return nil, err
	}
	// Round times give the same points each time, and points that rollups have.
	r.Start, r.End, r.Step = timestamppb.New(start.Truncate(every)), timestamppb.New(end), durationpb.New(every)
	return r, nil
}

func stepOf(text string, span time.Duration) (time.Duration, error) {
	if text != "auto" {
		var given duration
		if err := given.Set(text); err != nil || given.Duration <= 0 {
			return 0, usagef("--step %q: write a duration above zero such as 1m, or auto", text)
		}
		return time.Duration(given.Duration), nil
	}
	every := leastStep
	for _, round := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour} {
		if every = round; span/round <= autoPoints {
			break
		}
	}
	return every, nil
}

// ask reads a whole answer, and what there is to say of it.
func (c *client) ask(ctx context.Context, request *pb.QueryMetricsRequest) (rows []query.Row, notes []string, err error) {
	stream, err := c.metrics.QueryMetrics(ctx, connect.NewRequest(request))
	if err != nil {
		return nil, nil, err
	}
	defer stream.Close()
	whole := false
	for stream.Receive() {
		for _, s := range stream.Msg().GetSeries() {
			row, err := rowFrom(s)
			if err != nil {
				return nil, nil, err
			}
			rows = append(rows, row)
		}
		if summary := stream.Msg().GetSummary(); summary != nil {
			whole = true
			notes = append(summary.GetWarnings(), summary.GetInfos()...)
		}
	}
	if err := stream.Err(); err != nil {
		return nil, nil, err
	}
	if !whole {
		return nil, nil, errors.New("the answer was cut off: ask again")
	}
	return rows, notes, nil
}

func rowFrom(s *pb.QueriedSeries) (query.Row, error) {
	row := query.NewRow(s.GetLabels(), nil)
	if len(s.GetTimes()) != len(s.GetValues()) {
		return row, fmt.Errorf("series %s has %d times and %d values", row.Labels, len(s.GetTimes()), len(s.GetValues()))
	}
	for i, at := range s.GetTimes() {
		p := query.Point{T: at, V: s.GetValues()[i]}
		if text, is := s.GetHistograms()[uint32(i)]; is {
			if err := json.Unmarshal([]byte(text), &p.H); err != nil {
				return row, fmt.Errorf("series %s: %w", row.Labels, err)
			}
		}
		row.Points = append(row.Points, p)
	}
	return row, nil
}
