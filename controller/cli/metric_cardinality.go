package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/federate/explore"
	"github.com/novacron/novacron/tsdb/shard"
)

// exploring are the flags of a question for where series come from.
type exploring struct {
	by     choice
	metric string
	since  duration
	top    int
	drop   string
}

func newExploring() *exploring {
	return &exploring{by: choice{allowed: explore.Groupings()}, top: explore.DefaultTop}
}

func (e *exploring) flags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.Var(&e.by, "by", "what to count by (default metric, with --metric label)")
	fs.StringVar(&e.metric, "metric", "", "`name` of the metric to look into")
	fs.Var(&e.since, "since", "with how long ago to compare (default 24h)")
	fs.IntVar(&e.top, "top", e.top, "how many `lines` to show")
	fs.StringVar(&e.drop, "drop", "", "tell what would be left without this `label`")
}

// compares tells whether a flag was given that takes more than the index of live series.
func (e *exploring) compares(cmd *cobra.Command) bool {
	for _, name := range []string{"by", "metric", "since", "drop"} {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// ask is the question for the flags.
func (e *exploring) ask(args []string) (explore.Ask, error) {
	a := explore.Ask{By: e.by.value, Since: time.Duration(e.since.Duration), Top: e.top, Drop: e.drop, Now: time.Unix(0, 0)}
	if e.top < 1 || e.top > explore.MaxTop {
		return a, usagef("--top %d: give 1 to %d", e.top, explore.MaxTop)
	}
	if len(args) == 1 {
		a.Selector = args[0]
	}
	if e.metric != "" {
		if a.Selector != "" {
			return a, usagef("--metric and a selector exclude each other: name the metric in the selector")
		}
		a.Selector = "{__name__=" + strconv.Quote(e.metric) + "}"
	}
	switch {
	case a.By == "" && e.metric != "" && e.drop == "":
		a.By = explore.ByLabel
	case a.By == "":
		a.By = explore.ByMetric
	}
	var wrong *explore.AskError
	if err := a.Check(); errors.As(err, &wrong) && wrong.Field != "selector" {
		return a, usagef("--%w", err)
	} else if err != nil {
		return a, usageError{err, ""}
	}
	return a, nil
}

func (a *app) metricCardinality() *cobra.Command {
	e, complete := newExploring(), false
	cmd := &cobra.Command{
		Use: "cardinality [SELECTOR]", Short: "Tell where the series of all hosts come from", Args: cobra.MaximumNArgs(1),
		Long: `Count the series of all hosts by metric, label, value, host or job: those of the last two hours, and those of a while before.
It says which label made a metric grow, and how many series are left where that is dropped. Counts are exact; those of very
many values are estimates, within about 1 %.

  novacron metric cardinality
  novacron metric cardinality --metric http_requests_total --since 24h
  novacron metric cardinality '{job="shop"}' --drop request_id
  novacron metric cardinality --by host --top 50 -o csv`,
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			ask, err := e.ask(args)
			if err != nil {
				return err
			}
			request := &pb.ExploreCardinalityRequest{Selector: ask.Selector, By: groupsBy[ask.By], Top: uint32(ask.Top), Drop: ask.Drop, Complete: complete}
			if ask.Since > 0 {
				request.Since = durationpb.New(ask.Since)
			}
			answer, err := c.metrics.ExploreCardinality(ctx, connect.NewRequest(request))
			if err != nil {
				return err
			}
			return a.printCardinality(ask, answer.Msg)
		}),
	}
	e.flags(cmd)
	cmd.Flags().BoolVar(&complete, "complete", false, "fail when a host does not answer")
	return cmd
}

var groupsBy = map[string]pb.CardinalityGroup{
	explore.ByMetric: pb.CardinalityGroup_CARDINALITY_GROUP_METRIC, explore.ByLabel: pb.CardinalityGroup_CARDINALITY_GROUP_LABEL,
	explore.ByValue: pb.CardinalityGroup_CARDINALITY_GROUP_PAIR, explore.ByHost: pb.CardinalityGroup_CARDINALITY_GROUP_HOST,
	explore.ByJob: pb.CardinalityGroup_CARDINALITY_GROUP_JOB,
}

// exploreShard counts up to the newest sample of a folder: nobody writes to it.
func exploreShard(ctx context.Context, s *shard.Shard, ask explore.Ask) (explore.Answer, error) {
	_, newest, _ := s.Engine().Bounds()
	ask.Now = time.UnixMilli(newest)
	survey := federate.NewLocalSurvey(federate.Local{Store: s.Engine()}, nil)
	return explore.Explore(ctx, survey.Ask, ask)
}

func (a *app) printCardinality(ask explore.Ask, r *pb.ExploreCardinalityResponse) error {
	if a.output.value == outJSON || a.output.value == outYAML {
		return a.writeObject(r)
	}
	for _, text := range r.GetWarnings() {
		fmt.Fprintf(a.io.Err, "warning: %s\n", clean(text))
	}
	a.tell("%d series, %d before", r.GetSeries(), r.GetSeriesBefore())
	if err := list(a, cardinalityTable(ask), r.GetGroups()); err != nil {
		return err
	}
	if more := int64(r.GetGroupCount()) - int64(len(r.GetGroups())); more > 0 {
		a.tell("and %d more: see --top", more)
	}
	for _, f := range r.GetFindings() {
		a.tell("%s", f.GetText())
	}
	return nil
}

func cardinalityTable(ask explore.Ask) table[*pb.CardinalityCount] {
	type c = *pb.CardinalityCount
	number := func(name string, w where, of func(c) uint64) column[c] {
		return column[c]{name: name, where: w, text: func(v c) string { return strconv.FormatUint(of(v), 10) }}
	}
	head := map[string]string{explore.ByMetric: "METRIC", explore.ByLabel: "LABEL", explore.ByValue: "VALUE", explore.ByHost: "HOST", explore.ByJob: "JOB"}[ask.By]
	columns := []column[c]{
		{name: head, text: c.GetName}, number("SERIES", everywhere, c.GetSeries), number("BEFORE", everywhere, c.GetSeriesBefore),
		{name: "GROWTH", text: func(v c) string { return fmt.Sprintf("%+d", int64(v.GetSeries())-int64(v.GetSeriesBefore())) },
			raw: func(v c) string { return fmt.Sprint(int64(v.GetSeries()) - int64(v.GetSeriesBefore())) }, rawName: "growth"},
	}
	if ask.By == explore.ByLabel {
		columns = append(columns, number("VALUES", everywhere, c.GetValues), number("VALUES BEFORE", wideAndCSV, c.GetValuesBefore))
	}
	if ask.By == explore.ByLabel || ask.Drop != "" {
		columns = append(columns, number("WITHOUT", everywhere, c.GetLeft), number("WITHOUT BEFORE", wideAndCSV, c.GetLeftBefore))
	}
	columns = append(columns, column[c]{name: "ABOUT", where: wideAndCSV, text: func(v c) string { return strconv.FormatBool(v.GetEstimated()) }})
	return table[c]{plural: "series", columns: columns}
}
