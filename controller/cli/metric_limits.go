package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/index"
)

func (a *app) limitsCommand() *cobra.Command {
	return a.group("limits", "Bound how many series there may be", `Limits keep out new series: those that are there go on, and what is refused is told with the metric, the limit and the way
out, and counted by reason (novacron_shard_refused_total, collector_refused_samples_total).`,
		a.limitsShow(), a.limitsSet())
}

func (a *app) limitsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show the limits of series, and what each host has", Args: cobra.NoArgs,
		Long: `Show the limits of series and, for each host, its series and its share of the cluster's limit. -o csv prints a line for each
host.

  novacron metric limits show`,
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			answer, err := c.metrics.GetMetricLimits(ctx, connect.NewRequest(&pb.GetMetricLimitsRequest{}))
			if err != nil {
				return err
			}
			return a.printLimits(answer.Msg)
		}),
	}
}

func (a *app) printLimits(r *pb.GetMetricLimitsResponse) error {
	switch a.output.value {
	case outJSON, outYAML:
		return a.writeObject(r)
	case outCSV:
		return list(a, shareTable(), r.GetShares())
	}
	d := limitDetails(r.GetLimits())
	if err := d.write(a.io.Out); err != nil {
		return err
	}
	fmt.Fprintln(a.io.Out)
	return list(a, shareTable(), r.GetShares())
}

func limitDetails(l *pb.MetricLimits) (d details) {
	usual := index.DefaultLimits()
	d.add("Series of the cluster", limitText(l.GetClusterSeries(), "no limit"))
	d.add("Series of a host", limitText(l.GetSeriesPerHost(), defaultText(usual.Series)))
	d.add("Series of a metric on a host", limitText(l.GetSeriesPerMetric(), defaultText(usual.SeriesPerMetric)))
	d.add("Series of a job on a host", limitText(l.GetSeriesPerJob(), defaultText(usual.SeriesPerJob)))
	for _, single := range []struct {
		title string
		all   map[string]uint64
	}{{"Metrics", l.GetMetrics()}, {"Jobs", l.GetJobs()}} {
		d.section(single.title)
		for _, name := range slices.Sorted(maps.Keys(single.all)) {
			d.sub(name, limitText(single.all[name], "no limit"))
		}
	}
	return d
}

func defaultText(n int) string { return fmt.Sprintf("%d, the default", n) }

func limitText(n uint64, zero string) string {
	if n == 0 {
		return zero
	}
	return strconv.FormatUint(n, 10)
}

func shareTable() table[*pb.MetricShare] {
	type s = *pb.MetricShare
	return table[s]{plural: "hosts", columns: []column[s]{
		{name: "HOST", text: s.GetHostName},
		{name: "SERIES", text: func(v s) string {
			if v.Active == nil {
				return ""
			}
			return fmt.Sprint(v.GetActive())
		}},
		{name: "SHARE", text: func(v s) string { return limitText(v.GetSeries(), "") }},
		{name: "HELD", where: wideAndCSV, text: func(v s) string { return limitText(v.GetHeld(), "") }},
	}}
}

// limitFlags say what to change.
type limitFlags struct {
	host, metric, job, cluster uint64
	metrics, jobs              pairs
}

func (a *app) limitsSet() *cobra.Command {
	f := &limitFlags{}
	cmd := &cobra.Command{
		Use: "set", Short: "Change limits of series", Args: cobra.NoArgs,
		Long: `Change limits of series; those that are not named stay. Limits by host, metric and job hold on each host; 0 is the default.
The limit of the cluster is divided among the hosts: half of it evenly, the rest by what they have; 0 is none. A metric or
job may have a limit of its own: a number, none, or default, which takes it away again.

  novacron metric limits set --cluster-series 2000000 --series-per-metric 50000
  novacron metric limits set --metric http_requests_total=200000 --job shop=none`,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client, _ []string) error {
		now, err := c.metrics.GetMetricLimits(ctx, connect.NewRequest(&pb.GetMetricLimitsRequest{}))
		if err != nil {
			return err
		}
		limits := now.Msg.GetLimits()
		if err := f.change(cmd, limits); err != nil {
			return err
		}
		answer, err := c.metrics.SetMetricLimits(ctx, connect.NewRequest(&pb.SetMetricLimitsRequest{Limits: limits, Revision: now.Msg.GetRevision()}))
		if err != nil {
			return err
		}
		if a.forPeople() {
			a.tell("limits of series: set")
			return nil
		}
		return a.printLimits(&pb.GetMetricLimitsResponse{Limits: answer.Msg.GetLimits(), Revision: answer.Msg.GetRevision()})
	})
	fs := cmd.Flags()
	fs.Uint64Var(&f.host, "series-per-host", 0, "the most `series` of one host")
	fs.Uint64Var(&f.metric, "series-per-metric", 0, "the most `series` of one metric on a host")
	fs.Uint64Var(&f.job, "series-per-job", 0, "the most `series` of one value of the label job on a host")
	fs.Uint64Var(&f.cluster, "cluster-series", 0, "the most `series` of all hosts together")
	fs.Var(&f.metrics, "metric", "limit of a single metric on a host, as `name=limit` (repeatable)")
	fs.Var(&f.jobs, "job", "limit of a single job on a host, as `name=limit` (repeatable)")
	return cmd
}

// change puts what was given over what there is.
func (f *limitFlags) change(cmd *cobra.Command, l *pb.MetricLimits) error {
	given := false
	for _, one := range []struct {
		flag  string
		value uint64
		into  *uint64
	}{
		{"series-per-host", f.host, &l.SeriesPerHost}, {"series-per-metric", f.metric, &l.SeriesPerMetric},
		{"series-per-job", f.job, &l.SeriesPerJob}, {"cluster-series", f.cluster, &l.ClusterSeries},
	} {
		if cmd.Flags().Changed(one.flag) {
			*one.into, given = one.value, true
		}
	}
	for _, single := range []struct {
		flag  string
		given pairs
		into  *map[string]uint64
	}{{"metric", f.metrics, &l.Metrics}, {"job", f.jobs, &l.Jobs}} {
		for name, text := range single.given {
			given = true
			if err := changeSingle(single.into, name, text); err != nil {
				return usagef("--%s %s=%s: %w", single.flag, name, text, err)
			}
		}
	}
	if !given {
		return usagef("nothing to change: name a limit, such as --series-per-metric 50000")
	}
	return nil
}

func changeSingle(all *map[string]uint64, name, text string) error {
	if text == "default" {
		delete(*all, name)
		return nil
	}
	n := uint64(0)
	if text != "none" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil || n == 0 {
			return fmt.Errorf("give a number above 0, none or default")
		}
	}
	if *all == nil {
		*all = map[string]uint64{}
	}
	(*all)[name] = n
	return nil
}
