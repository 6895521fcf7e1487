package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) forwardList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the forwards", Args: cobra.NoArgs,
		Long: "List the forwards: where to, how far the slowest host is behind, and what waits and was dropped on all of them.\n\n  novacron metric forward list -o wide",
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			forwards, err := c.listForwards(ctx)
			if err != nil {
				return err
			}
			return list(a, a.forwardTable(), forwards)
		}),
	}
}

func (a *app) forwardShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a forward and how it goes on each host", Args: cobra.ExactArgs(1),
		Long:              "Show a forward: what is sent where, and of each host what waits, how far it is behind and its last error. Counts are since\nthe host's agent was started. Secrets are shown to nobody.\n\n  novacron metric forward show mimir",
		ValidArgsFunction: a.completeOnce(a.forwardNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			answer, err := c.forwards.GetMetricForward(ctx, connect.NewRequest(&pb.GetMetricForwardRequest{Name: args[0]}))
			if err != nil {
				return err
			}
			return show(a, a.forwardTable(), answer.Msg.GetForward(), a.forwardDetails(answer.Msg.GetForward()))
		}),
	}
}

func (c *client) listForwards(ctx context.Context) ([]*pb.MetricForward, error) {
	return pages(func(token string) ([]*pb.MetricForward, string, error) {
		answer, err := c.forwards.ListMetricForwards(ctx, connect.NewRequest(&pb.ListMetricForwardsRequest{PageSize: pageSize, PageToken: token}))
		if err != nil {
			return nil, "", err
		}
		return answer.Msg.GetForwards(), answer.Msg.GetNextPageToken(), nil
	})
}

func (a *app) forwardNames(ctx context.Context) ([]string, error) {
	return liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.MetricForward, error) { return c.listForwards(ctx) },
		func(f *pb.MetricForward) string { return f.GetSpec().GetName() })
}

func (a *app) forwardTable() table[*pb.MetricForward] {
	type forward = *pb.MetricForward
	return table[forward]{plural: "metric forwards", columns: []column[forward]{
		{name: "NAME", text: func(f forward) string { return f.GetSpec().GetName() }},
		{name: "URL", text: func(f forward) string { return f.GetSpec().GetUrl() }},
		{name: "STATE", text: forwardState},
		{name: "HOSTS", text: func(f forward) string { return fmt.Sprint(len(f.GetHosts())) }},
		{name: "LAG", text: func(f forward) string { return formatSpan(worstLag(f)) }, raw: func(f forward) string { return fmt.Sprint(worstLag(f).Seconds()) }, rawName: "lag_seconds"},
		{name: "PENDING", text: func(f forward) string { return fmt.Sprint(sumOf(f, (*pb.MetricForwardHost).GetPendingSamples)) }},
		{name: "DROPPED", text: func(f forward) string { return fmt.Sprint(sumOf(f, droppedBy)) }},
		{name: "SENT", where: wideAndCSV, text: func(f forward) string { return fmt.Sprint(sumOf(f, (*pb.MetricForwardHost).GetSentSamples)) }},
		{name: "MATCH", where: wideAndCSV, text: func(f forward) string { return strings.Join(f.GetSpec().GetMatch(), " or ") }},
		{name: "CREDENTIAL", where: wideAndCSV, text: func(f forward) string { return referenceText(f.GetSpec().GetCredential(), "none") }},
	}}
}

// forwardState is the state of the forward on the hosts that have told of it.
func forwardState(f *pb.MetricForward) string {
	failing := 0
	for _, host := range f.GetHosts() {
		if host.GetLastError() != "" {
			failing++
		}
	}
	switch {
	case len(f.GetHosts()) == 0:
		return "starting"
	case failing > 0:
		return fmt.Sprintf("failing on %d", failing)
	}
	return "running"
}

func worstLag(f *pb.MetricForward) (lag time.Duration) {
	for _, host := range f.GetHosts() {
		lag = max(lag, host.GetLag().AsDuration())
	}
	return lag
}

func sumOf(f *pb.MetricForward, of func(*pb.MetricForwardHost) uint64) (sum uint64) {
	for _, host := range f.GetHosts() {
		sum += of(host)
	}
	return sum
}

func droppedBy(host *pb.MetricForwardHost) (sum uint64) {
	for _, n := range host.GetDroppedSamples() {
		sum += n
	}
	return sum
}

func (a *app) forwardDetails(f *pb.MetricForward) (d details) {
	spec := f.GetSpec()
	d.add("Name", spec.GetName())
	d.add("URL", spec.GetUrl())
	d.add("Protocol", fmt.Sprintf("remote write %d.0", spec.GetProtocol()))
	d.add("Match", firstOf(strings.Join(spec.GetMatch(), "\n"), "all series"))
	d.add("Labels", joinPairs(spec.GetLabels()))
	d.add("Headers", joinPairs(spec.GetHeaders()))
	d.add("Username", spec.GetUsername())
	d.add("Credential", forwardCredential(spec))
	d.add("Secret set", a.momentAndAge(spec.GetCredential().GetSealed().GetSetTime()))
	d.add("Queue", queueText(spec))
	d.add("Created", a.momentAndAge(f.GetCreateTime()))
	for _, host := range f.GetHosts() {
		a.forwardHost(&d, f, host)
	}
	return d
}

func forwardCredential(spec *pb.MetricForwardSpec) string {
	text := referenceText(spec.GetCredential(), "none")
	if spec.GetClientCertificate() {
		return "certificate: " + text
	}
	return text
}

func queueText(spec *pb.MetricForwardSpec) string {
	text := "at most " + formatBytes(spec.GetQueueBytes()) + " on each host"
	if spec.GetQueueAge() != nil {
		text += ", " + formatDuration(spec.GetQueueAge().AsDuration()) + " for a sample"
	}
	return text
}

func (a *app) forwardHost(d *details, f *pb.MetricForward, host *pb.MetricForwardHost) {
	d.section("Host " + host.GetHostName())
	d.sub("Told", a.age(host.GetUpdateTime())+" ago")
	if host.GetObservedGeneration() < f.GetGeneration() {
		d.sub("Definition", "an older one: it has not heard of the change yet")
	}
	d.sub("Lag", formatSpan(host.GetLag().AsDuration()))
	d.sub("Pending", fmt.Sprintf("%d samples, the queue takes %s", host.GetPendingSamples(), formatBytes(host.GetQueueBytes())))
	d.sub("Sent", fmt.Sprintf("%d samples, %s%s", host.GetSentSamples(), formatBytes(host.GetSentBytes()), spoken(host)))
	d.sub("Retried", fmt.Sprintf("%d requests", host.GetRetriedRequests()))
	for _, reason := range slices.Sorted(maps.Keys(host.GetDroppedSamples())) {
		d.sub("Dropped", fmt.Sprintf("%d samples: %s", host.GetDroppedSamples()[reason], reason))
	}
	d.sub("Last success", a.momentAndAge(host.GetLastSuccessTime()))
	d.sub("Error", host.GetLastError())
	d.sub("Last error", a.momentAndAge(host.GetLastErrorTime()))
}

// spoken says by which version and how many requests at one time.
func spoken(host *pb.MetricForwardHost) string {
	if host.GetProtocol() == 0 {
		return ""
	}
	return fmt.Sprintf(", by remote write %d.0, requests at one time: %d", host.GetProtocol(), host.GetShards())
}
