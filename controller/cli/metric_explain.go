package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	pb "github.com/novacron/novacron/proto/novacron/v1"
)

// explainHelp tells of explainFlags.
const explainHelp = `The times of a range are multiples of its step, so that the same question asked again takes from the cache what does not
change any more. What the hosts compute, how many series there are and what the cache has is shown by --explain, which
reads no samples; what a query took by host by --analyze. Both have more with -o wide and -o json.

  novacron metric query 'sum by (host) (rate(vm_cpu_seconds_total[5m]))' --range 6h --explain
  novacron metric query 'sum by (host) (rate(vm_cpu_seconds_total[5m]))' --range 6h --analyze -o wide
`

// explainFlags ask how a query is computed, or what it takes, in place of its values.
type explainFlags struct{ explain, analyze bool }

func (f *explainFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.explain, "explain", false, "show how the query would be computed, without doing it")
	cmd.Flags().BoolVar(&f.analyze, "analyze", false, "compute the query, and show what that took in place of its values")
}

// check refuses flags that do not go together: there are no values to draw, to write or to leave out.
func (f *explainFlags) check(a *app, cmd *cobra.Command) error {
	others := []string{"format", "file", "view", "max-points", "top", "promql", "ascii", "width", "height"}
	if f.asked() && a.output.value == outPlot {
		return usagef("-o plot draws values, which --explain and --analyze do not show: use table, wide, json, yaml or csv")
	}
	return errors.Join(notBoth(cmd, "explain", append(others, "analyze")...), notBoth(cmd, "analyze", others...))
}

// asked tells whether no values are to be shown.
func (f *explainFlags) asked() bool { return f.explain || f.analyze }

// showPlan asks a question for how it is computed, or for what it takes, and prints that.
func (a *app) showPlan(ctx context.Context, c *client, f *explainFlags, request *pb.QueryMetricsRequest) error {
	request.Explain, request.Analyze = f.explain, f.analyze
	stream, err := c.metrics.QueryMetrics(ctx, connect.NewRequest(request))
	if err != nil {
		return err
	}
	defer stream.Close()
	var summary *pb.QuerySummary
	for stream.Receive() {
		if s := stream.Msg().GetSummary(); s != nil {
			summary = s
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	notes{summary.GetWarnings(), summary.GetInfos()}.tell(a)
	switch {
	case f.explain && summary.GetExplanation() != nil:
		return show(a, explanationTable(), summary.GetExplanation(), explanationDetails(summary.GetExplanation(), a.output.value == outWide))
	case f.analyze && summary.GetAnalysis() != nil:
		return a.showAnalysis(summary.GetAnalysis())
	}
	return errors.New("the controller does not know --explain and --analyze: update it")
}

func explanationTable() table[*pb.QueryExplanation] {
	type e = *pb.QueryExplanation
	return table[e]{plural: "queries", columns: []column[e]{
		{name: "EXPRESSION", text: e.GetExpression}, {name: "CONTROLLER", text: e.GetController},
		{name: "STEPS", text: func(q e) string { return fmt.Sprint(q.GetSteps()) }},
		{name: "PARTS", text: func(q e) string { return fmt.Sprint(len(q.GetParts())) }},
		{name: "ASKED", text: func(q e) string { return fmt.Sprint(len(q.GetAskedHosts())) }},
		{name: "PRUNED", text: func(q e) string { return fmt.Sprint(len(q.GetPrunedHosts())) }},
		{name: "KNOWN STEPS", text: func(q e) string { return fmt.Sprint(q.GetCache().GetKnownSteps()) }},
	}}
}

func explanationDetails(e *pb.QueryExplanation, wide bool) (d details) {
	d.add("Expression", e.GetExpression())
	d.add("Times", strconv.FormatUint(uint64(e.GetSteps()), 10))
	d.add("Hosts", hostCount("asked", e.GetAskedHosts(), wide)+"\n"+hostCount("pruned, which have no such series", e.GetPrunedHosts(), wide))
	if n := e.GetRelays(); n > 0 {
		d.add("Relays", fmt.Sprintf("%d of the hosts ask the others", n))
	}
	for i, part := range e.GetParts() {
		d.section(fmt.Sprintf("Part %d, computed by the hosts", i))
		d.sub("Expression", strings.Join(part.GetExpressions(), "\n"))
		d.sub("Merged by", part.GetMerge())
		d.sub("Reads", tierText(part.GetTiers()))
	}
	d.section("Computed by the controller")
	d.sub("Expression", e.GetController())
	d.sub("Raw series of", strings.Join(e.GetRawSelectors(), "\n"))
	d.section("Series, by the indexes")
	for _, s := range e.GetSeries() {
		d.sub(s.GetSelector(), seriesText(s))
	}
	d.add("Cache", cacheText(e.GetCache()))
	d.add("Evaluator", e.GetEvaluator())
	return d
}

// hostCount counts hosts, and names them where there is room.
func hostCount(what string, names []string, wide bool) string {
	text := fmt.Sprintf("%d %s", len(names), what)
	if wide && len(names) > 0 {
		text += ": " + strings.Join(names, ", ")
	}
	return text
}

// tierText says what hosts read; they are counted where they do not all read the same.
func tierText(tiers map[string]uint32) string {
	var all []string
	for _, tier := range slices.Sorted(maps.Keys(tiers)) {
		text := tier
		if len(tiers) > 1 {
			text = fmt.Sprintf("%s on %d of the hosts", tier, tiers[tier])
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func seriesText(s *pb.SelectorEstimate) string {
	if s.GetLeast() == s.GetLikely() {
		return fmt.Sprintf("about %d", s.GetLikely())
	}
	return fmt.Sprintf("%d to about %d", s.GetLeast(), s.GetLikely())
}

func cacheText(c *pb.QueryCacheUse) string {
	if why := c.GetUnusedReason(); why != "" {
		return "not used: " + why
	}
	return fmt.Sprintf("%d of %d times are known", c.GetKnownSteps(), c.GetSteps())
}

// showAnalysis prints what a query took: the whole, and a table of hosts below.
func (a *app) showAnalysis(q *pb.QueryAnalysis) error {
	switch a.output.value {
	case outJSON, outYAML:
		return a.writeObject(q)
	case outCSV:
		return writeCSV(a, queriedTable(), q.GetHosts())
	}
	var d details
	d.add("Time", q.GetElapsed().AsDuration().Round(time.Microsecond).String())
	d.add("Controller", fmt.Sprintf("%s of it, %d samples at one time", q.GetController().AsDuration().Round(time.Microsecond), q.GetPeakSamples()))
	d.add("Series", strconv.FormatInt(q.GetSeries(), 10))
	d.add("Cache", cacheText(q.GetCache()))
	d.add("Read raw since", q.GetRawReason())
	if err := d.write(a.io.Out); err != nil {
		return err
	}
	fmt.Fprintln(a.io.Out)
	return list(a, queriedTable(), q.GetHosts())
}

func queriedTable() table[*pb.QueriedHost] {
	type h = *pb.QueriedHost
	count := func(get func(h) int64) func(h) string {
		return func(q h) string { return strconv.FormatInt(get(q), 10) }
	}
	calls := func(get func(h) uint32) func(h) string {
		return func(q h) string { return strconv.FormatUint(uint64(get(q)), 10) }
	}
	return table[h]{plural: "hosts that were asked", columns: []column[h]{
		{name: "HOST", text: h.GetName},
		{name: "TIME", text: func(q h) string { return q.GetElapsed().AsDuration().Round(10 * time.Microsecond).String() },
			raw: func(q h) string { return fmt.Sprint(q.GetElapsed().AsDuration().Seconds()) }, rawName: "seconds"},
		{name: "SAMPLES", text: count(h.GetSamples)}, {name: "SERIES", text: count(h.GetSeries)},
		{name: "RECEIVED", text: func(q h) string { return formatBytes(uint64(max(0, q.GetBytes()))) }, raw: count(h.GetBytes), rawName: "bytes"},
		{name: "CALLS", text: calls(h.GetCalls)},
		{name: "RETRIES", where: wideAndCSV, text: calls(h.GetRetries)}, {name: "HEDGES", where: wideAndCSV, text: calls(h.GetHedges)},
		{name: "ERROR", where: wideAndCSV, text: h.GetError},
	}}
}
