package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/novacron/novacron/metric"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func (a *app) sourceList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the sources", Args: cobra.NoArgs,
		Long: "List the sources: where each is collected, how it goes and what a day of it costs.\n\n  novacron metric source list -o wide",
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			sources, err := c.listSources(ctx)
			if err != nil {
				return err
			}
			return list(a, a.sourceTable(), sources)
		}),
	}
}

func (a *app) sourceShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a source", Args: cobra.ExactArgs(1),
		Long:              "Show a source: what it is, which host collects from it, how it goes and what it costs. Secrets are shown to nobody.\n\n  novacron metric source show prod",
		ValidArgsFunction: a.completeOnce(a.sourceNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			answer, err := c.metrics.GetMetricSource(ctx, connect.NewRequest(&pb.GetMetricSourceRequest{Name: args[0]}))
			if err != nil {
				return err
			}
			return show(a, a.sourceTable(), answer.Msg.GetSource(), a.sourceDetails(answer.Msg.GetSource()))
		}),
	}
}

func (c *client) listSources(ctx context.Context) ([]*pb.MetricSource, error) {
	return pages(func(token string) ([]*pb.MetricSource, string, error) {
		answer, err := c.metrics.ListMetricSources(ctx, connect.NewRequest(&pb.ListMetricSourcesRequest{PageSize: pageSize, PageToken: token}))
		if err != nil {
			return nil, "", err
		}
		return answer.Msg.GetSources(), answer.Msg.GetNextPageToken(), nil
	})
}

func (a *app) sourceNames(ctx context.Context) ([]string, error) {
	return liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.MetricSource, error) { return c.listSources(ctx) },
		func(s *pb.MetricSource) string { return s.GetSpec().GetName() })
}

func (a *app) sourceTable() table[*pb.MetricSource] {
	type source = *pb.MetricSource
	return table[source]{plural: "metric sources", columns: []column[source]{
		{name: "NAME", text: func(s source) string { return s.GetSpec().GetName() }},
		{name: "KIND", text: func(s source) string { return metric.KindOf(s.GetSpec()) }},
		{name: "STATE", text: sourceState},
		{name: "HOST", text: func(s source) string { return s.GetStatus().GetHostName() }},
		{name: "INTERVAL", text: func(s source) string { return formatDuration(s.GetSpec().GetInterval().AsDuration()) }},
		{name: "SERIES", text: func(s source) string { return fmt.Sprint(s.GetStatus().GetSeries()) }},
		{name: "LAST", text: func(s source) string { return a.age(s.GetStatus().GetLastSuccessTime()) },
			raw: func(s source) string { return moment(s.GetStatus().GetLastSuccessTime()) }, rawName: "last_success"},
		{name: "PER DAY", text: perDay, raw: func(s source) string { return fmt.Sprint(s.GetStatus().GetForecastCost()) }, rawName: "forecast_cost"},
		{name: "OF", where: wideAndCSV, text: sourcePlace},
		{name: "CREDENTIAL", where: wideAndCSV, text: func(s source) string { return credentialText(s.GetSpec()) }},
		{name: "MESSAGE", where: wideAndCSV, text: func(s source) string {
			return firstOf(s.GetStatus().GetLastError(), s.GetStatus().GetMessage())
		}},
	}}
}

func sourceState(s *pb.MetricSource) string {
	if s.GetDeleteTime() != nil {
		return "deleting"
	}
	return word(s.GetStatus().GetState(), "METRIC_SOURCE_STATE_")
}

func perDay(s *pb.MetricSource) string {
	if s.GetStatus().GetForecastCost() == 0 {
		return ""
	}
	return money(s.GetStatus().GetForecastCost(), s.GetSpec().GetBudget().GetCurrency())
}

// sourcePlace is what a source reads.
func sourcePlace(s *pb.MetricSource) string {
	switch kind := s.GetSpec().GetKind().(type) {
	case *pb.MetricSourceSpec_Aws:
		return strings.Join(kind.Aws.GetRegions(), ",")
	case *pb.MetricSourceSpec_Azure:
		return strings.Join(kind.Azure.GetSubscriptions(), ",")
	case *pb.MetricSourceSpec_Gcp:
		return strings.Join(kind.Gcp.GetProjects(), ",")
	case *pb.MetricSourceSpec_Scrape:
		return kind.Scrape.GetUrl()
	}
	return ""
}

// credentialText says where the credential is, never what it is.
func credentialText(spec *pb.MetricSourceSpec) string {
	none := "the host's own"
	if metric.KindOf(spec) == metric.KindScrape {
		none = "none"
	}
	return referenceText(spec.GetCredential(), none)
}

func referenceText(credential *pb.MetricCredential, none string) string {
	switch ref := credential.GetReference().(type) {
	case *pb.MetricCredential_File:
		return "file " + ref.File
	case *pb.MetricCredential_Environment:
		return "variable " + ref.Environment
	case *pb.MetricCredential_Sealed:
		return "sealed, fingerprint " + ref.Sealed.GetFingerprint()
	}
	return none
}

func (a *app) sourceDetails(s *pb.MetricSource) (d details) {
	spec, status := s.GetSpec(), s.GetStatus()
	d.add("Name", spec.GetName())
	d.add("Kind", metric.KindOf(spec))
	d.add("Of", sourcePlace(s))
	d.add("State", strings.TrimSuffix(sourceState(s)+": "+status.GetMessage(), ": "))
	d.add("Host", status.GetHostName())
	d.add("Since", a.momentAndAge(status.GetSinceTime()))
	d.add("Interval", formatDuration(spec.GetInterval().AsDuration()))
	d.add("Metrics", firstOf(strings.Join(spec.GetMetrics(), ", "), spec.GetMetricSet()))
	d.add("Labels", joinPairs(spec.GetLabels()))
	d.add("Tags", strings.Join(spec.GetTags(), ", "))
	d.add("Only hosts", joinPairs(spec.GetHostLabels()))
	d.add("Credential", credentialText(spec))
	d.add("Secret set", a.momentAndAge(spec.GetCredential().GetSealed().GetSetTime()))
	d.section("Collecting")
	d.sub("Last success", a.momentAndAge(status.GetLastSuccessTime()))
	d.sub("Series", fmt.Sprint(status.GetSeries()))
	d.sub("Final until", moment(status.GetWatermark()))
	d.sub("Error", status.GetLastError())
	d.sub("Last error", a.momentAndAge(status.GetLastErrorTime()))
	for _, p := range status.GetPauses() {
		d.sub("Not called", fmt.Sprintf("%s of %s before %s, as it asked", p.GetApi(), firstOf(p.GetAccount(), "the account"), moment(p.GetUntilTime())))
	}
	if most := spec.GetBudget().GetUnitsPerDay(); most > 0 {
		d.sub("Budget", fmt.Sprintf("%d units a day", most))
	}
	d.sub("Forecast", forecast(s, ""))
	return d
}

func (a *app) momentAndAge(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format(time.RFC3339) + " (" + a.age(t) + " ago)"
}
