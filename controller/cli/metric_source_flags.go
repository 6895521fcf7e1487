package cli

import (
	"slices"
	"time"

	"github.com/novacron/novacron/metric"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/durationpb"
)

// defaultSourceWait is how long to wait for a host to have begun.
const defaultSourceWait = 30 * time.Second

// sourceFlags are those of a source. kind is empty for a command that takes those of all kinds.
type sourceFlags struct {
	credentialFlags
	kind                                             string
	interval, timeout                                time.Duration
	labels, hosts                                    pairs
	set, currency                                    string
	metrics, tags                                    []string
	dailyUnits                                       uint64
	price                                            float64
	noWait                                           bool
	waitTimeout                                      time.Duration
	regions, namespaces, subscriptions, groups, gcps []string
	role, externalID, profile, tenant, clientID      string
	impersonate, url, username, caFile               string
	undeclared, paused                               bool
}

func emptySource(kind string) *pb.MetricSourceSpec {
	switch kind {
	case metric.KindAWS:
		return &pb.MetricSourceSpec{Kind: &pb.MetricSourceSpec_Aws{Aws: &pb.AWSMetricSource{}}}
	case metric.KindAzure:
		return &pb.MetricSourceSpec{Kind: &pb.MetricSourceSpec_Azure{Azure: &pb.AzureMetricSource{}}}
	case metric.KindGCP:
		return &pb.MetricSourceSpec{Kind: &pb.MetricSourceSpec_Gcp{Gcp: &pb.GCPMetricSource{}}}
	}
	return &pb.MetricSourceSpec{Kind: &pb.MetricSourceSpec_Scrape{Scrape: &pb.ScrapeMetricSource{}}}
}

// extendedSets say what is in the extended set of a cloud.
var extendedSets = map[string]string{
	metric.KindAWS: ", which is the sets extended, volumes and agent", metric.KindAzure: ", which is all there are", metric.KindGCP: ", which is Extended and agent, too",
}

func (f *sourceFlags) register(fs *pflag.FlagSet) {
	spanVar(fs, &f.interval, "interval", 0, "how often to collect (default 15s for a scrape, 5m for a cloud)")
	fs.StringSliceVar(&f.metrics, "metric", nil, "`name` of a metric to take (repeatable); all of the set or target when left out")
	fs.Var(&f.hosts, "hosts", "label that a host must have to collect (repeatable); any host when left out")
	fs.BoolVar(&f.paused, "paused", false, "do not collect yet")
	f.registerCredential(fs)
	fs.BoolVar(&f.noWait, "no-wait", false, "do not wait until a host collects")
	spanVar(fs, &f.waitTimeout, "wait-timeout", defaultSourceWait, "how long to wait until a host collects")
	if f.kind != metric.KindScrape {
		fs.StringVar(&f.set, "metrics-set", "", "`set` of metrics: default (cheap) or extended"+extendedSets[f.kind])
		fs.StringSliceVar(&f.tags, "tag", nil, "`tag` of resources to keep as a label of vm_tags (repeatable)")
		fs.Uint64Var(&f.dailyUnits, "daily-units", 0, "most billable `units` of a day; then it stops until the next")
		fs.Float64Var(&f.price, "unit-price", 0, "`price` of a unit, for the forecast (default the list price)")
		fs.StringVar(&f.currency, "currency", "", "`code` of the price's currency (default USD)")
	}
	f.registerKinds(fs)
}

func (f *sourceFlags) registerKinds(fs *pflag.FlagSet) {
	of := func(kind string) bool { return f.kind == kind || f.kind == "" }
	if of(metric.KindAWS) {
		fs.StringSliceVar(&f.regions, "region", nil, "`region` (repeatable)")
		fs.StringSliceVar(&f.namespaces, "namespace", nil, "`namespace` to take besides, under its own names (repeatable)")
		fs.StringVar(&f.role, "role", "", "`ARN` of a role to assume")
		fs.StringVar(&f.externalID, "external-id", "", "external `id` that the role asks for")
		fs.StringVar(&f.profile, "profile", "", "`profile` of the hosts' shared configuration")
	}
	if of(metric.KindAzure) {
		fs.StringSliceVar(&f.subscriptions, "subscription", nil, "`id` of a subscription (repeatable)")
		fs.StringSliceVar(&f.groups, "resource-group", nil, "resource `group` (repeatable); all when left out")
		fs.StringVar(&f.tenant, "tenant-id", "", "`tenant`")
		fs.StringVar(&f.clientID, "client-id", "", "`id` of the application or managed identity")
	}
	if of(metric.KindGCP) {
		fs.StringSliceVar(&f.gcps, "project-id", nil, "`id` of a Google Cloud project (repeatable)")
		fs.StringVar(&f.impersonate, "impersonate", "", "service `account` to impersonate")
	}
	if of(metric.KindScrape) {
		fs.StringVar(&f.url, "url", "", "`address` of the metrics")
		fs.Var(&f.labels, "label", "label of every series (repeatable)")
		spanVar(fs, &f.timeout, "scrape-timeout", 0, "how long a scrape may take (default 10s)")
		fs.StringVar(&f.username, "username", "", "`name` to log in with; the credential is the password")
		fs.StringVar(&f.caFile, "ca-file", "", "`file` here with the certificates, in PEM, that vouch for the target")
		fs.BoolVar(&f.undeclared, "undeclared", false, "take metrics that are not defined")
	}
}

// kindFlags are the flags that only sources of a kind have.
func kindFlags() map[string][]string {
	return map[string][]string{
		metric.KindAWS:    {"region", "namespace", "role", "external-id", "profile"},
		metric.KindAzure:  {"subscription", "resource-group", "tenant-id", "client-id"},
		metric.KindGCP:    {"project-id", "impersonate"},
		metric.KindScrape: {"url", "label", "scrape-timeout", "username", "ca-file", "undeclared"},
	}
}

// changeSource puts what was given into a definition, and gives the secret where there is one.
func (a *app) changeSource(cmd *cobra.Command, f *sourceFlags, spec *pb.MetricSourceSpec) (secret []byte, err error) {
	given := cmd.Flags().Changed
	for kind, flags := range kindFlags() {
		if i := slices.IndexFunc(flags, given); i >= 0 && kind != f.kind {
			return nil, usagef("--%s is for sources of kind %s; %s is of kind %s", flags[i], kind, spec.GetName(), f.kind)
		}
	}
	if given("interval") {
		spec.Interval = durationpb.New(f.interval)
	}
	put(given("metric"), &spec.Metrics, f.metrics)
	put(given("tag"), &spec.Tags, f.tags)
	put(given("hosts"), &spec.HostLabels, map[string]string(f.hosts))
	put(given("metrics-set"), &spec.MetricSet, f.set)
	put(given("paused"), &spec.Paused, f.paused)
	f.budget(given, spec)
	if err := a.changeKind(given, f, spec); err != nil {
		return nil, err
	}
	return a.changeCredential(given, &f.credentialFlags, spec.GetName(), &spec.Credential)
}

// put sets what was given.
func put[T any](given bool, field *T, value T) {
	if given {
		*field = value
	}
}

func (f *sourceFlags) budget(given func(string) bool, spec *pb.MetricSourceSpec) {
	if !given("daily-units") && !given("unit-price") && !given("currency") {
		return
	}
	if spec.Budget == nil {
		spec.Budget = &pb.MetricBudget{}
	}
	put(given("daily-units"), &spec.Budget.UnitsPerDay, f.dailyUnits)
	put(given("unit-price"), &spec.Budget.PricePerUnit, f.price)
	put(given("currency"), &spec.Budget.Currency, f.currency)
}

func (a *app) changeKind(given func(string) bool, f *sourceFlags, spec *pb.MetricSourceSpec) error {
	switch f.kind {
	case metric.KindAWS:
		aws := spec.GetAws()
		put(given("region"), &aws.Regions, f.regions)
		put(given("namespace"), &aws.Namespaces, f.namespaces)
		put(given("role"), &aws.RoleArn, f.role)
		put(given("external-id"), &aws.ExternalId, f.externalID)
		put(given("profile"), &aws.Profile, f.profile)
	case metric.KindAzure:
		azure := spec.GetAzure()
		put(given("subscription"), &azure.Subscriptions, f.subscriptions)
		put(given("resource-group"), &azure.ResourceGroups, f.groups)
		put(given("tenant-id"), &azure.TenantId, f.tenant)
		put(given("client-id"), &azure.ClientId, f.clientID)
	case metric.KindGCP:
		put(given("project-id"), &spec.GetGcp().Projects, f.gcps)
		put(given("impersonate"), &spec.GetGcp().Impersonate, f.impersonate)
	case metric.KindScrape:
		return a.changeScrape(given, f, spec)
	}
	return nil
}

func (a *app) changeScrape(given func(string) bool, f *sourceFlags, spec *pb.MetricSourceSpec) error {
	scrape := spec.GetScrape()
	put(given("url"), &scrape.Url, f.url)
	put(given("username"), &scrape.Username, f.username)
	put(given("undeclared"), &scrape.Undeclared, f.undeclared)
	put(given("label"), &spec.Labels, map[string]string(f.labels))
	if given("scrape-timeout") {
		scrape.Timeout = durationpb.New(f.timeout)
	} else if given("interval") {
		scrape.Timeout = nil // which the server fills in again
	}
	if !given("ca-file") {
		return nil
	}
	pem, err := a.readInput(f.caFile)
	scrape.CaPem = string(pem)
	return err
}
