package gcpmonitoring

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"cloud.google.com/go/auth"
	"google.golang.org/genproto/googleapis/api/metric"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
	"github.com/novacron/novacron/tsdb"
)

// Collector measures the machines of some projects. CollectMetrics, Settle and Through are for one goroutine at a time,
// the others for any.
type Collector struct {
	cfg      Config
	rows     map[string][]row
	registry *collect.Registry
	projects []*project
	book     *cloud.Book
	budget   *cloud.Budget
	access   *cloud.Access
	clock    clock

	// counters are those of amounts that were told, with the group they are of: they go on while their machine runs.
	counters map[string]counted
	kinds    map[[2]string]diskKind
	// series is how many the last whole collection had.
	series int
	// units are what a collection costs.
	units atomic.Int64
	said  map[string]bool
	// glance says that this turn was a selection, which leaves no trace.
	glance bool
}

// counted is a counter without its points.
type counted struct {
	cloud.Series
	group string
}

var (
	_ collect.MetricsCollector = (*Collector)(nil)
	_ collect.Settler          = (*Collector)(nil)
)

// apiName is what is charged for.
const apiName = "monitoring.ListTimeSeries"

// New opens the state and finds the credentials; nothing is asked yet.
func New(ctx context.Context, cfg Config) (_ *Collector, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	creds, err := cfg.credentials()
	if err != nil {
		return nil, err
	}
	c := &Collector{
		cfg: cfg, rows: wanted(cfg), registry: collect.NewRegistry(), counters: map[string]counted{}, kinds: map[[2]string]diskKind{}, said: map[string]bool{},
	}
	since := cfg.Since
	if since.IsZero() {
		since = time.Now()
	}
	if c.book, err = cloud.OpenBook(ctx, cfg.Stores, since, cfg.Meter); err != nil {
		return nil, err
	}
	tariff := cloud.Tariff{Unit: "time series returned", Price: cfg.SeriesPrice, Daily: cfg.DailySeries}
	if c.budget, err = cloud.OpenBudget(ctx, cfg.Stores("budget"), tariff, cfg.Spent); err != nil {
		return nil, err
	}
	if c.access, err = cloud.OpenAccess(ctx, cfg.Stores("pauses"), cfg.Paces, cfg.Pauses); err != nil {
		return nil, err
	}
	c.recall(c.book.Told())
	for _, id := range cfg.Projects {
		p, err := newProject(ctx, cfg, id, creds, &c.clock, c.access)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.projects = append(c.projects, p)
	}
	return c, nil
}

// credentials are nil where both APIs are called in plain text.
func (c Config) credentials() (*auth.Credentials, error) {
	if plain(c.MonitoringEndpoint) && plain(c.ComputeEndpoint) {
		return nil, nil
	}
	return c.Credentials.open()
}

// Close ends the connections.
func (c *Collector) Close() error {
	var failed []error
	for _, p := range c.projects {
		failed = append(failed, p.close())
	}
	return errors.Join(failed...)
}

// CollectMetrics asks for all that is due. What could not be read is told in the error and asked for again. A query that
// selects something leaves no trace: the next collection tells it again.
func (c *Collector) CollectMetrics(ctx context.Context, query tsdb.MetricsQuery) ([]collect.Metric, error) {
	selection, err := collect.Select(query)
	if err != nil {
		return nil, err
	}
	c.glance = len(query.MetricNames) > 0 || len(query.Filters) > 0 || query.Limit > 0 || !query.TimeRange.Start.IsZero() || !query.TimeRange.End.IsZero()
	c.book.Begin()
	t := newTurn(c, selection)
	for _, p := range c.projects {
		t.project(ctx, p)
	}
	c.skew()
	now := c.clock.now()
	metrics := c.book.Enter(t.series, now, t.conclusive)
	if !c.glance {
		c.finish(t)
	}
	return selection.Keep(metrics), t.err()
}

// recall goes on with the counters of before the start, as one in which nothing happens comes in no answer, and with what
// metrics have told of disks.
func (c *Collector) recall(told []collect.Metric) {
	for _, m := range told {
		if m.Name == "vm_disk_info" {
			c.kinds[[2]string{m.Labels["vm_id"], m.Labels["device"]}] = diskKind{m.Labels["storage_type"], m.Labels["device_type"]}
		}
		for _, r := range c.rows[c.nativeOf(m)] {
			if r.name != m.Name || r.kind != metric.MetricDescriptor_DELTA || r.name == "vm_available" {
				continue
			}
			s := cloud.Series{
				Name: m.Name, Labels: m.Labels, Source: r.source(), Kind: collect.NativeDelta, Period: collect.GCPCompute.Period,
			}
			c.counters[counterKey(s)] = counted{s, groupOf(m.Labels["cloud_account_id"], r.native)}
		}
	}
}

// nativeOf is the metric type that a canonical series comes from; empty where none is asked for.
func (c *Collector) nativeOf(m collect.Metric) string {
	for native, rows := range c.rows {
		for _, r := range rows {
			if r.name == m.Name && string(r.source()) == m.Source {
				return native
			}
		}
	}
	return ""
}

// finish keeps what the next collection needs of a whole one.
func (c *Collector) finish(t *turn) {
	c.series = len(t.series)
	there := map[string]bool{}
	for _, s := range t.series {
		there[s.Labels["vm_id"]] = true
		if s.Kind == collect.NativeDelta && s.Type == "" {
			bare := s
			bare.Points = nil
			c.counters[counterKey(s)] = counted{bare, t.groupOf(s)}
		}
	}
	maps.DeleteFunc(c.counters, func(key string, _ counted) bool { return t.dead[key] })
	if len(t.unlisted) == 0 {
		forgetDisks(c.kinds, there)
	}
	c.estimate(t.units)
}

// estimate keeps what a collection costs, told by the last one that cost something or by the machines that there are, and
// logs it the first time that it is known.
func (c *Collector) estimate(units int) {
	measured := units > 0
	if !measured && c.units.Load() > 0 {
		return
	}
	if !measured {
		for _, p := range c.projects {
			units += len(p.listed) * len(c.rows)
		}
	}
	c.units.Store(int64(units))
	if measured && !c.said["forecast"] {
		c.said["forecast"] = true
		c.cfg.Logger.Info("collecting from Google Cloud: " + c.Forecast().String())
	}
}

func counterKey(s cloud.Series) string {
	return collect.SeriesKey(s.Name, s.Labels, string(s.Source))
}

// Settle ends the turn: what it counted counts where it was stored.
func (c *Collector) Settle(ctx context.Context, stored bool) error {
	return errors.Join(c.access.Settle(ctx), c.book.Settle(ctx, stored && !c.glance, c.clock.now()))
}

// Forecast says what a day costs when it goes on like the last collection; nothing before the first.
func (c *Collector) Forecast() cloud.Forecast {
	return c.budget.Forecast(int(c.units.Load()), c.cfg.Interval)
}

// Progress tells how far it is, and what a day costs.
func (c *Collector) Progress() collect.Progress {
	f := c.Forecast()
	return collect.Progress{Watermark: c.Through(), ForecastUnits: f.Units, ForecastCost: f.Dollars(), Pauses: c.access.Pauses(), Spent: c.budget.Spending()}
}

// Through is the end of the last period up to which everything is stored; zero before the first collection was.
func (c *Collector) Through() time.Time { return c.book.Through() }

// ListAvailableMetrics lists what Google can tell with the sets that are asked for, and which types pass unmapped.
func (c *Collector) ListAvailableMetrics(ctx context.Context) ([]collect.MetricDefinition, error) {
	defs := slices.DeleteFunc(c.registry.Definitions(collect.GCM, collect.OpsAgent), func(d collect.MetricDefinition) bool { return !c.available(d.Name) })
	if len(c.cfg.Unmapped) == 0 {
		return defs, nil
	}
	var failed []error
	passed := map[string]collect.MetricDefinition{}
	for _, p := range c.projects {
		types, err := p.catalog.get(ctx, time.Now())
		failed = append(failed, err)
		for _, d := range types {
			if c.passes(d) && !canonical[d.native] {
				passed[collect.GCPName(d.native)] = passedDefinition(d)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(passed)) {
		defs = append(defs, passed[name])
	}
	return defs, errors.Join(failed...)
}

// available tells whether a canonical metric can come of what is asked for.
func (c *Collector) available(name string) bool {
	for _, rows := range c.rows {
		if slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			return true
		}
	}
	return inventoryNames[name] && (name != "vm_tags" || len(c.cfg.Tags) > 0)
}

// once logs something the first time that it is so.
func (c *Collector) once(detail, message string) {
	if !c.said[detail] {
		c.said[detail] = true
		c.cfg.Logger.Warn(message, "detail", detail)
	}
}

// skew tells once that this machine's clock is wrong.
func (c *Collector) skew() {
	if ahead := c.clock.ahead; ahead != 0 && !c.said["skew"] {
		c.said["skew"] = true
		c.cfg.Logger.Warn("the clock of this machine is wrong: Google's is used for its metrics; set the clock, as with systemd-timesyncd", "ahead", -ahead)
	}
}
