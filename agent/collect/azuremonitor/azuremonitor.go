// Package azuremonitor collects the metrics of Azure's virtual machines, and of other resources as they are, from Azure
// Monitor's batch API.
package azuremonitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// Config says what to collect, of whom and at what cost.
type Config struct {
	// Subscriptions are the ids of those to collect of, one at least.
	Subscriptions []string
	// Regions limit what is collected to some, as westeurope; empty for all.
	Regions []string
	// ResourceGroups limit what is collected to some; empty for all.
	ResourceGroups []string
	// Cloud is public, china or government; empty means public.
	Cloud string
	// Endpoints replace the addresses of the cloud, as for a private link.
	Endpoints Endpoints
	// Credentials say who asks; the zero value is the SDK's default chain.
	Credentials Credentials
	// Token gives tokens in place of Credentials; nil for those.
	Token azcore.TokenCredential

	// Sets are collected besides the basic one.
	Sets []Set
	// BothDiskLevels keeps all disks together beside each disk where SetDisks is chosen. Sums then have to leave out
	// devices that begin with _.
	BothDiskLevels bool
	// Raw are metrics without a canonical name, of any type of resource; none by default.
	Raw []Raw
	// Tags are those that become labels of vm_tags; none by default.
	Tags []string

	// Interval is that of the collections, by which costs are forecast; 0 means a minute.
	Interval time.Duration
	// Back is how far a window may reach back after a pause; 0 means 24 h. What lies before is lost.
	Back time.Duration
	// Since is when a source without a state begins to count; zero means now.
	Since time.Time
	// InventoryEvery is how often the machines are listed; 0 means 5 minutes. Their states are read each time.
	InventoryEvery time.Duration
	// Deadline bounds each call; 0 means 30 s.
	Deadline time.Duration
	// Parallel is the most calls for metrics at once; 0 means 4.
	Parallel int

	// DailyCalls stops collecting metrics after so many calls in a UTC day; 0 means no bound.
	DailyCalls int
	// PricePerCall of metrics in US dollars; 0 means 0.00001, what Azure's list says: $0.01 per 1,000. A month's first
	// million is free, which forecasts leave out.
	PricePerCall float64

	// Stores keep counters, windows and what was spent.
	Stores cloud.Stores
	// Pauses are what the host before was told of the APIs, Spent what it used of the day's budget.
	Pauses []collect.Pause
	Spent  collect.Spending
	// Paces are shared by the collectors of a process; nil for own ones.
	Paces *cloud.Paces
	// Transport sends requests; nil for the network.
	Transport http.RoundTripper
	// Meter counts; nil for none.
	Meter *collect.Meter
	// Logger tells what is skipped, once each.
	Logger *slog.Logger
}

// Endpoints are addresses in place of those of the cloud; an empty one is that of the cloud.
type Endpoints struct {
	// ResourceManager is as https://management.azure.com.
	ResourceManager string
	// Metrics is as https://{region}.metrics.monitor.azure.com, with the mark for the region where there are several.
	Metrics string
	// Authority is as https://login.microsoftonline.com/.
	Authority string
}

// Raw are metrics of one type of resource that pass as they are: azure_<type>_<metric>_<aggregation>.
type Raw struct {
	// ResourceType is as Microsoft.Storage/storageAccounts.
	ResourceType string
	// Metrics are their names in the API, one at least.
	Metrics []string
	// Aggregations are Average, Total, Minimum, Maximum or Count; empty means Average.
	Aggregations []string
	// Dimensions split the metrics; all of them have to have all of these.
	Dimensions []string
}

// withDefaults fills in what is left out and refuses what cannot be.
func (c Config) withDefaults() (Config, error) {
	for field, fallback := range map[*time.Duration]time.Duration{
		&c.Interval: time.Minute, &c.Back: 24 * time.Hour, &c.InventoryEvery: 5 * time.Minute, &c.Deadline: 30 * time.Second,
	} {
		if *field == 0 {
			*field = fallback
		}
	}
	if c.Parallel == 0 {
		c.Parallel = 4
	}
	if c.PricePerCall == 0 {
		c.PricePerCall = 0.00001
	}
	if c.Paces == nil {
		c.Paces = &cloud.Paces{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	c.ResourceGroups = slices.Clone(c.ResourceGroups)
	for i := range c.ResourceGroups {
		c.ResourceGroups[i] = strings.ToLower(c.ResourceGroups[i])
	}
	c.Regions = slices.Clone(c.Regions)
	for i := range c.Regions {
		c.Regions[i] = regionName(c.Regions[i])
	}
	return c, c.valid()
}

func (c Config) valid() error {
	switch {
	case len(c.Subscriptions) == 0:
		return errors.New("Azure: no subscription; name one at least")
	case c.Stores == nil:
		return errors.New("Azure: no place to keep counters in; set Stores")
	}
	for _, s := range c.Sets {
		if !slices.Contains(Sets, s) {
			return fmt.Errorf("Azure: set %q; use %q", s, Sets)
		}
	}
	for _, r := range c.Raw {
		if err := r.valid(); err != nil {
			return err
		}
	}
	return nil
}

func (r Raw) valid() error {
	if namespace, name, ok := strings.Cut(r.ResourceType, "/"); !ok || namespace == "" || name == "" {
		return fmt.Errorf("Azure: resource type %q; write it as Microsoft.Storage/storageAccounts", r.ResourceType)
	}
	if len(r.Metrics) == 0 {
		return fmt.Errorf("Azure: no metrics of %s are named; name them as the API does", r.ResourceType)
	}
	for _, metric := range r.Metrics {
		if metric == "" || strings.Contains(metric, ",") {
			return fmt.Errorf("Azure: metric %q of %s; the API takes no empty names and none with a comma", metric, r.ResourceType)
		}
	}
	for _, a := range r.Aggregations {
		if !slices.Contains([]string{average, total, minimum, maximum, count}, a) {
			return fmt.Errorf("Azure: aggregation %q of %s; use Average, Total, Minimum, Maximum or Count", a, r.ResourceType)
		}
	}
	return nil
}

// Collector collects of some subscriptions.
type Collector struct {
	cfg      Config
	clock    *clock
	accounts []*account
	metrics  *metricClients
	// book is nil before the first answer, which tells the time by the service's clock.
	book   *cloud.Book
	budget *cloud.Budget
	access *cloud.Access
	// lastCalls are those of the last whole collection.
	lastCalls int
	// over are the resources, by id, that are gone and that the service tells nothing of any more.
	over map[string]bool
	// complained are the mismatches that were logged.
	complained map[string]bool
}

var (
	_ collect.MetricsCollector = (*Collector)(nil)
	_ collect.Settler          = (*Collector)(nil)
)

// New goes on where a collector with the same stores has ended. It makes no call.
func New(ctx context.Context, cfg Config) (*Collector, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	places, err := placesOf(cfg.Cloud, cfg.Endpoints)
	if err != nil {
		return nil, fmt.Errorf("Azure: %w", err)
	}
	c := &Collector{cfg: cfg, clock: &clock{}, over: map[string]bool{}, complained: map[string]bool{}}
	if c.access, err = cloud.OpenAccess(ctx, cfg.Stores("pauses"), cfg.Paces, cfg.Pauses); err != nil {
		return nil, fmt.Errorf("Azure: %w", err)
	}
	dial := dialer{cfg: cfg, access: c.access, places: places, send: &transport{client: &http.Client{Transport: cfg.Transport, CheckRedirect: stay}, clock: c.clock}}
	if dial.token, err = dial.credential(); err != nil {
		return nil, fmt.Errorf("Azure: %w", err)
	}
	c.metrics = &metricClients{dial: dial}
	for _, id := range cfg.Subscriptions {
		a, err := newAccount(dial, id)
		if err != nil {
			return nil, fmt.Errorf("Azure, subscription %s: %w", id, err)
		}
		c.accounts = append(c.accounts, a)
	}
	tariff := cloud.Tariff{Unit: "calls for metrics", Price: cfg.PricePerCall, Daily: cfg.DailyCalls}
	if c.budget, err = cloud.OpenBudget(ctx, cfg.Stores("budget"), tariff, cfg.Spent); err != nil {
		return nil, fmt.Errorf("Azure: %w", err)
	}
	return c, nil
}

// stay follows no redirect: a token is for the address that it was asked for.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Forecast is what a day costs when it goes on like the last collection.
func (c *Collector) Forecast() cloud.Forecast { return c.budget.Forecast(c.lastCalls, c.cfg.Interval) }

// ListAvailableMetrics lists what Azure Monitor can tell of machines, and the metrics that were asked for as they are.
func (c *Collector) ListAvailableMetrics(context.Context) ([]collect.MetricDefinition, error) {
	return append(collect.NewRegistry().Definitions(collect.AzureMonitor), rawDefinitions(c.cfg.Raw)...), nil
}

// Progress tells how far it is, and what a day costs.
func (c *Collector) Progress() collect.Progress {
	f := c.Forecast()
	p := collect.Progress{ForecastUnits: f.Units, ForecastCost: f.Dollars(), Pauses: c.access.Pauses(), Spent: c.budget.Spending()}
	if c.book != nil {
		p.Watermark = c.book.Through()
	}
	return p
}

// Settle ends the collection before: what it came to counts where it was stored.
func (c *Collector) Settle(ctx context.Context, stored bool) error {
	paused := c.access.Settle(ctx)
	if c.book == nil {
		return paused
	}
	return errors.Join(paused, c.book.Settle(ctx, stored, c.clock.now()))
}
