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
	"google.golang.org/protobuf/proto"
)

// sourcePoll is how often a new source is looked at.
const sourcePoll = 250 * time.Millisecond

func (a *app) sourceCommand() *cobra.Command {
	return a.group("source", "Manage what the cluster collects metrics from", `A source is collected by one host of the cluster, the leader says which; when that host is lost or drained another one
goes on where it got to, and never are there two. Secrets are read from a file, from standard input or from the
terminal; the cluster seals them, gives them to the host that collects and shows them to nobody.`,
		a.sourceAdd(), a.sourceList(), a.sourceShow(), a.sourceUpdate(), a.sourcePause(true), a.sourcePause(false), a.sourceDelete())
}

func (a *app) sourceAdd() *cobra.Command {
	return a.group("add", "Have the cluster collect from a source", "Have the cluster collect from a cloud, or from a target that tells its metrics over HTTP.",
		a.sourceAddKind(metric.KindAWS, "Collect from CloudWatch", `Collect the metrics of an account's machines from CloudWatch. Without a credential the host proves itself as the SDK's
default chain finds it: environment, shared configuration, container or instance role. A secret is the access key as JSON,
{"AccessKeyId": "…", "SecretAccessKey": "…"}, as "aws configure export-credentials" prints it; --credential-file names a
shared credentials file on the hosts. CloudWatch charges for the metrics that are asked for.

  novacron metric source add aws prod --region eu-central-1 --role arn:aws:iam::123456789012:role/metrics --daily-units 500000`),
		a.sourceAddKind(metric.KindAzure, "Collect from Azure Monitor", `Collect the metrics of virtual machines from Azure Monitor. Without a credential the host proves itself as the SDK's default
chain finds it: environment, workload or managed identity. A secret is that of the application --client-id: a client secret,
or a certificate with its key in PEM.

  novacron metric source add azure prod --subscription 0b1f6471-1bf0-4dda-aec3-cb9272f09590 --tenant-id example.com --client-id 7a6c --secret-file key`),
		a.sourceAddKind(metric.KindGCP, "Collect from Google Cloud Monitoring", `Collect the metrics of instances from Cloud Monitoring. Without a credential the host proves itself by the application default
credentials. A secret is the JSON key of a service account.

  novacron metric source add gcp prod --project-id my-project --impersonate metrics@my-project.iam.gserviceaccount.com`),
		a.sourceAddKind(metric.KindScrape, "Scrape a target", `Scrape a target that tells its metrics in a form of Prometheus. Metrics that are not defined are refused, but with
--undeclared. A secret is a bearer token or, with --username, the password.

  novacron metric source add scrape node --url https://10.0.0.5:9100/metrics --interval 15s --label rack=a1 --undeclared`))
}

func (a *app) sourceAddKind(kind, short, long string) *cobra.Command {
	f := &sourceFlags{kind: kind}
	cmd := &cobra.Command{Use: kind + " NAME", Short: short, Long: long, Args: cobra.ExactArgs(1)}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client, args []string) error {
		spec := emptySource(kind)
		spec.Name = args[0]
		secret, err := a.changeSource(cmd, f, spec)
		if err != nil {
			return err
		}
		answer, err := c.metrics.CreateMetricSource(ctx, connect.NewRequest(&pb.CreateMetricSourceRequest{Spec: spec, Secret: secret}))
		if err != nil {
			return err
		}
		return a.settleSource(ctx, c, answer.Msg.GetSource(), f)
	})
	f.register(cmd.Flags())
	return cmd
}

// settleSource waits until a source has a host, and tells how it goes by then.
func (a *app) settleSource(ctx context.Context, c *client, source *pb.MetricSource, f *sourceFlags) error {
	if f.noWait {
		a.tell("%s: accepted", source.GetSpec().GetName())
		return a.printSource(source)
	}
	wait, cancel := context.WithTimeout(ctx, f.waitTimeout)
	defer cancel()
	for !settled(source) {
		timer := time.NewTimer(sourcePoll)
		select {
		case <-wait.Done():
			timer.Stop()
			if err := ctx.Err(); err != nil {
				return err
			}
			return a.tellSource(source)
		case <-timer.C:
		}
		answer, err := c.metrics.GetMetricSource(ctx, connect.NewRequest(&pb.GetMetricSourceRequest{Name: source.GetSpec().GetName()}))
		if err != nil {
			return err
		}
		source = answer.Msg.GetSource()
	}
	return a.tellSource(source)
}

// settled tells whether there is nothing to wait for: it is collected, paused, at its host with a long way to the first
// collection, or there is no host for it.
func settled(source *pb.MetricSource) bool {
	status := source.GetStatus()
	switch status.GetState() {
	case pb.MetricSourceState_METRIC_SOURCE_STATE_RUNNING, pb.MetricSourceState_METRIC_SOURCE_STATE_FAILING:
		return status.GetObservedGeneration() >= source.GetGeneration()
	case pb.MetricSourceState_METRIC_SOURCE_STATE_PAUSED:
		return true
	case pb.MetricSourceState_METRIC_SOURCE_STATE_WAITING:
		return status.GetMessage() != ""
	case pb.MetricSourceState_METRIC_SOURCE_STATE_STARTING:
		return source.GetSpec().GetInterval().AsDuration() > time.Minute && status.GetObservedGeneration() >= source.GetGeneration()
	}
	return false
}

// tellSource says how a source goes; one that no host can take is accepted and not yet placed.
func (a *app) tellSource(source *pb.MetricSource) error {
	name, status := source.GetSpec().GetName(), source.GetStatus()
	var failure error
	switch status.GetState() {
	case pb.MetricSourceState_METRIC_SOURCE_STATE_RUNNING:
		a.tell("%s: collected by %s, %d series%s", name, status.GetHostName(), status.GetSeries(), forecast(source, "; "))
	case pb.MetricSourceState_METRIC_SOURCE_STATE_STARTING:
		a.tell("%s: host %s collects from it every %s; `novacron metric source show %s` tells what it costs once it has begun", name, status.GetHostName(), formatDuration(source.GetSpec().GetInterval().AsDuration()), name)
	case pb.MetricSourceState_METRIC_SOURCE_STATE_PAUSED:
		a.tell("%s: paused", name)
	case pb.MetricSourceState_METRIC_SOURCE_STATE_WAITING:
		failure = &fault{what: name + ": accepted, and no host collects from it yet", details: nonEmpty(status.GetMessage()), hint: "it is given to the first host that fits; `novacron metric source show " + name + "` tells", unplaced: true}
	case pb.MetricSourceState_METRIC_SOURCE_STATE_FAILING:
		failure = &fault{what: fmt.Sprintf("%s: host %s cannot collect from it", name, status.GetHostName()), details: nonEmpty(status.GetLastError()), hint: "it is tried again and again; `novacron metric source update " + name + "` changes it"}
	default:
		a.tell("%s: %s", name, word(status.GetState(), "METRIC_SOURCE_STATE_"))
	}
	return both(failure, a.printSource(source))
}

func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// printSource prints the object where machines read.
func (a *app) printSource(source *pb.MetricSource) error {
	if a.forPeople() {
		return nil
	}
	return show(a, a.sourceTable(), source, details{})
}

func (a *app) sourceUpdate() *cobra.Command {
	f := &sourceFlags{}
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change a source", Args: cobra.ExactArgs(1),
		Long: `Change a source; what is not given stays, a sealed secret too, unless the target is another one. Lists are replaced.

  novacron metric source update prod --interval 10m --metrics-set extended
  novacron metric source update prod --secret-file new-key`,
		ValidArgsFunction: a.completeOnce(a.sourceNames),
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client, args []string) error {
		if !anyGiven(cmd) {
			return usagef("nothing to change: say what, such as --interval 10m")
		}
		return a.updateSource(ctx, c, args[0], f, func(spec *pb.MetricSourceSpec) ([]byte, error) {
			f.kind = metric.KindOf(spec)
			return a.changeSource(cmd, f, spec)
		})
	})
	f.register(cmd.Flags())
	return cmd
}

// updateSource changes a source from what it is now; somebody else's change meanwhile is refused, not overwritten.
func (a *app) updateSource(ctx context.Context, c *client, name string, f *sourceFlags, change func(*pb.MetricSourceSpec) ([]byte, error)) error {
	answer, err := c.metrics.GetMetricSource(ctx, connect.NewRequest(&pb.GetMetricSourceRequest{Name: name}))
	if err != nil {
		return err
	}
	spec := proto.CloneOf(answer.Msg.GetSource().GetSpec())
	secret, err := change(spec)
	if err != nil {
		return err
	}
	updated, err := c.metrics.UpdateMetricSource(ctx, connect.NewRequest(&pb.UpdateMetricSourceRequest{
		Spec: spec, Secret: secret, Generation: answer.Msg.GetSource().GetGeneration(),
	}))
	if err != nil {
		return err
	}
	return a.settleSource(ctx, c, updated.Msg.GetSource(), f)
}

func (a *app) sourcePause(pause bool) *cobra.Command {
	use, short, long := "resume NAME...", "Collect from sources again", "Collect from sources again, from where they got to.\n\n  novacron metric source resume prod"
	if pause {
		use, short, long = "pause NAME...", "Stop collecting from sources for a while", "Stop collecting from sources until `novacron metric source resume`.\n\n  novacron metric source pause prod"
	}
	return &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeMany(a.sourceNames),
		RunE: a.withClient(func(ctx context.Context, c *client, names []string) error {
			return a.each(names, func(name string) error {
				return a.updateSource(ctx, c, name, &sourceFlags{noWait: pause, waitTimeout: defaultSourceWait}, func(spec *pb.MetricSourceSpec) ([]byte, error) {
					spec.Paused = pause
					return nil, nil
				})
			})
		}),
	}
}

func (a *app) sourceDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME...", Short: "Stop collecting from sources for good", Args: cobra.MinimumNArgs(1),
		Long:              "Delete sources. What was collected from them stays.\n\n  novacron metric source delete prod --yes",
		ValidArgsFunction: a.completeMany(a.sourceNames),
		RunE: a.withClient(func(ctx context.Context, c *client, names []string) error {
			if err := a.confirm(yes, "Delete "+counted(names, "metric source", "metric sources")+"?"); err != nil {
				return err
			}
			return a.each(names, func(name string) error {
				_, err := c.metrics.DeleteMetricSource(ctx, connect.NewRequest(&pb.DeleteMetricSourceRequest{Name: name}))
				if err == nil {
					a.tell("%s: deleted", name)
				}
				return err
			})
		}),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// forecast says what a day costs, as people want to know it; empty where nobody knows.
func forecast(source *pb.MetricSource, prefix string) string {
	status, budget := source.GetStatus(), source.GetSpec().GetBudget()
	if status.GetForecastUnits() == 0 {
		return ""
	}
	parts := []string{fmt.Sprintf("%.0f units a day", status.GetForecastUnits())}
	if status.GetForecastCost() > 0 {
		parts = append(parts, "this costs about "+money(status.GetForecastCost(), budget.GetCurrency())+" a day")
	}
	if most := budget.GetUnitsPerDay(); most > 0 && status.GetForecastUnits() > float64(most) {
		parts = append(parts, fmt.Sprintf("the budget of %d stops it before the day ends", most))
	}
	return prefix + strings.Join(parts, ", ")
}

func money(amount float64, currency string) string {
	if currency == "" || currency == "USD" {
		return fmt.Sprintf("$%.2f", amount)
	}
	return fmt.Sprintf("%.2f %s", amount, currency)
}
