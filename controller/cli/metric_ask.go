package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/query"
)

// metricQuery asks the shards of all hosts.
func (a *app) metricQuery() *cobra.Command {
	q, plan, complete := a.newQueryFlags(), &explainFlags{}, false
	cmd := &cobra.Command{
		Use: "query [EXPR]", Short: "Ask all hosts in PromQL", Args: cobra.MaximumNArgs(1),
		Long: `Evaluate PromQL over the metrics of all hosts: now, at --time, or at many times with --range or --start. Hosts that do not
answer are told in a warning; with --complete there is no answer then.

  novacron metric query 'topk(5, sum by (vm_name) (rate(vm_cpu_seconds_total[5m])))'
  novacron metric query 'sum by (host) (host_memory_available_bytes)' --range 6h -o csv
  novacron metric query 'vm_memory_used_bytes{vm_name="web-1"}' --start 2026-01-31 --end 2026-02-01 --step 1h
  novacron metric query 'vm_cpu_utilization_ratio' --range 6h -o plot
  novacron metric query --metric vm_memory_used_bytes --filter host=kvm-1 --aggregate sum --by vm_name --limit 10

` + explainHelp + showHelp,
	}
	ask := a.withClient(func(ctx context.Context, c *client, args []string) error {
		asked, err := q.question(args, a.io.Now(), q.show.points(a))
		if err != nil {
			return err
		}
		request := asked.request()
		request.Complete, request.Align = complete, true // round times are the same each time, and those that rollups have
		if plan.asked() {
			return a.showPlan(ctx, c, plan, request)
		}
		rows, said, err := c.ask(ctx, request)
		if err != nil {
			return err
		}
		return a.printRows(&q.show, asked, rows, said)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := errors.Join(q.check(a, cmd), plan.check(a, cmd)); err != nil {
			return err
		}
		if q.pick.promql {
			return q.printCompiled(a, args)
		}
		return ask(cmd, args)
	}
	q.register(cmd)
	cmd.Flags().BoolVar(&complete, "complete", false, "fail when a host does not answer")
	plan.register(cmd)
	return cmd
}

// request is the question for the controllers.
func (q question) request() *pb.QueryMetricsRequest {
	r := &pb.QueryMetricsRequest{Query: q.expr}
	if q.instant {
		r.Time = timestamppb.New(q.times.End)
		return r
	}
	r.Start, r.End, r.Step = timestamppb.New(q.times.Start), timestamppb.New(q.times.End), durationpb.New(q.times.Step)
	return r
}

// ask reads a whole answer, and what there is to say of it.
func (c *client) ask(ctx context.Context, request *pb.QueryMetricsRequest) (rows []query.Row, said notes, err error) {
	stream, err := c.metrics.QueryMetrics(ctx, connect.NewRequest(request))
	if err != nil {
		return nil, notes{}, err
	}
	defer stream.Close()
	whole := false
	for stream.Receive() {
		for _, s := range stream.Msg().GetSeries() {
			row, err := rowFrom(s)
			if err != nil {
				return nil, notes{}, err
			}
			rows = append(rows, row)
		}
		if summary := stream.Msg().GetSummary(); summary != nil {
			whole = true
			said = notes{summary.GetWarnings(), summary.GetInfos()}
		}
	}
	if err := stream.Err(); err != nil {
		return nil, notes{}, err
	}
	if !whole {
		return nil, notes{}, errors.New("the answer was cut off: ask again")
	}
	return rows, said, nil
}

func rowFrom(s *pb.QueriedSeries) (query.Row, error) {
	row := query.NewRow(s.GetLabels(), nil)
	if len(s.GetTimes()) != len(s.GetValues()) {
		return row, fmt.Errorf("series %s has %d times and %d values", row.Labels, len(s.GetTimes()), len(s.GetValues()))
	}
	for i, at := range s.GetTimes() {
		p := query.Point{T: at, V: s.GetValues()[i]}
		if err := histogramFrom(s, uint32(i), &p); err != nil {
			return row, fmt.Errorf("series %s: %w", row.Labels, err)
		}
		row.Points = append(row.Points, p)
	}
	return row, nil
}

// histogramFrom gives a point the histogram at its place, where there is one.
func histogramFrom(s *pb.QueriedSeries, at uint32, into *query.Point) error {
	if packed, is := s.GetPackedHistograms()[at]; is {
		return query.UnpackHistogram(packed, into)
	}
	if text, is := s.GetHistograms()[at]; is {
		return json.Unmarshal([]byte(text), &into.H)
	}
	return nil
}
