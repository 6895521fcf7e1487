package cli

import (
	"context"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"github.com/novacron/novacron/metric"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) metricDefine() *cobra.Command {
	kind := choice{value: metric.Gauge, allowed: []string{metric.Gauge, metric.Counter, metric.Histogram}}
	d := &pb.MetricDefinition{}
	cmd := &cobra.Command{
		Use: "define NAME", Short: "Define a metric of your own", Args: cobra.ExactArgs(1),
		Long: `Define a metric, so that hosts store it: what is pushed or scraped and not defined is refused. Help, labels and owner can be
defined anew; what samples mean, type and unit, stays. The name of a counter ends with _total.

  novacron metric define queue_length --help-text "Jobs that wait." --label queue --owner ops
  novacron metric define bytes_sent_total --type counter --unit bytes --help-text "Bytes sent." --label peer`,
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			d.Name, d.Type = args[0], metric.TypeToProto(kind.value)
			answer, err := c.metrics.DefineMetric(ctx, connect.NewRequest(&pb.DefineMetricRequest{Definition: d}))
			if err != nil {
				return err
			}
			if a.forPeople() {
				a.tell("%s: defined", d.GetName())
				return nil
			}
			return show(a, a.definitionTable(), answer.Msg.GetDefinition(), details{})
		}),
	}
	fs := cmd.Flags()
	fs.Var(&kind, "type", "what its samples are")
	fs.StringVar(&d.Unit, "unit", "", "base `unit`, such as bytes or seconds; none for plain counts")
	fs.StringVar(&d.Help, "help-text", "", "what it measures, in a `sentence`")
	fs.StringSliceVar(&d.Labels, "label", nil, "`name` of a label that its series may have (repeatable); tag_* allows all with that beginning")
	fs.StringVar(&d.Owner, "owner", "", "`who` is asked about it")
	return cmd
}

func (a *app) definitionCommand() *cobra.Command {
	return a.group("definition", "Work with the metrics that users defined", "Metrics that users defined; those of NovaCron itself are in its documentation.",
		a.definitionList(), a.definitionShow(), a.definitionDelete())
}

func (a *app) definitionList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the defined metrics", Args: cobra.NoArgs,
		Long: "List the metrics that users defined.\n\n  novacron metric definition list -o wide",
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			all, err := c.listDefinitions(ctx)
			if err != nil {
				return err
			}
			return list(a, a.definitionTable(), all)
		}),
	}
}

func (a *app) definitionShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a defined metric", Args: cobra.ExactArgs(1),
		Long:              "Show a metric that users defined.\n\n  novacron metric definition show queue_length",
		ValidArgsFunction: a.completeOnce(a.definitionNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			all, err := c.listDefinitions(ctx)
			if err != nil {
				return err
			}
			for _, d := range all {
				if d.GetName() == args[0] {
					return show(a, a.definitionTable(), d, a.definitionDetails(d))
				}
			}
			return &fault{what: fmt.Sprintf("metric %q is not defined", args[0]), hint: "`novacron metric definition list` shows those that are"}
		}),
	}
}

func (a *app) definitionDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME...", Short: "Refuse metrics from now on", Args: cobra.MinimumNArgs(1),
		Long:              "Delete definitions: samples of these metrics are refused from now on. What is stored stays.\n\n  novacron metric definition delete queue_length --yes",
		ValidArgsFunction: a.completeMany(a.definitionNames),
		RunE: a.withClient(func(ctx context.Context, c *client, names []string) error {
			if err := a.confirm(yes, "Refuse from now on "+counted(names, "metric", "metrics")+"?"); err != nil {
				return err
			}
			return a.each(names, func(name string) error {
				_, err := c.metrics.DeleteMetricDefinition(ctx, connect.NewRequest(&pb.DeleteMetricDefinitionRequest{Name: name}))
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

func (c *client) listDefinitions(ctx context.Context) ([]*pb.MetricDefinition, error) {
	return pages(func(token string) ([]*pb.MetricDefinition, string, error) {
		answer, err := c.metrics.ListMetricDefinitions(ctx, connect.NewRequest(&pb.ListMetricDefinitionsRequest{PageSize: pageSize, PageToken: token}))
		if err != nil {
			return nil, "", err
		}
		return answer.Msg.GetDefinitions(), answer.Msg.GetNextPageToken(), nil
	})
}

func (a *app) definitionNames(ctx context.Context) ([]string, error) {
	return liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.MetricDefinition, error) { return c.listDefinitions(ctx) }, (*pb.MetricDefinition).GetName)
}

func (a *app) definitionTable() table[*pb.MetricDefinition] {
	type def = *pb.MetricDefinition
	return table[def]{plural: "metrics", columns: []column[def]{
		{name: "NAME", text: def.GetName},
		{name: "TYPE", text: func(d def) string { return metric.TypeFromProto(d.GetType()) }},
		{name: "UNIT", text: def.GetUnit},
		{name: "LABELS", text: func(d def) string { return strings.Join(d.GetLabels(), ",") }},
		{name: "OWNER", text: def.GetOwner},
		{name: "HELP", where: wideAndCSV, text: def.GetHelp},
		{name: "AGE", text: func(d def) string { return a.age(d.GetCreateTime()) },
			raw: func(d def) string { return moment(d.GetCreateTime()) }, rawName: "created"},
	}}
}

func (a *app) definitionDetails(m *pb.MetricDefinition) (d details) {
	d.add("Name", m.GetName())
	d.add("Type", metric.TypeFromProto(m.GetType()))
	d.add("Unit", m.GetUnit())
	d.add("Help", m.GetHelp())
	d.add("Labels", strings.Join(m.GetLabels(), ", "))
	d.add("Owner", m.GetOwner())
	d.add("Defined", a.momentAndAge(m.GetCreateTime()))
	return d
}
