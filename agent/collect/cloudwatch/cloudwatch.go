// Package cloudwatch collects the metrics of machines and volumes of AWS from CloudWatch, and what EC2 says of them.
package cloudwatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
	"github.com/novacron/novacron/tsdb"
)

var (
	_ collect.MetricsCollector = (*Collector)(nil)
	_ collect.Settler          = (*Collector)(nil)
)

// listPrice is what AWS charges for a metric that is asked for, and for a call of another kind: 0.01 dollars per 1,000.
const listPrice = 0.01 / 1000

func (c Config) tariff() cloud.Tariff {
	return cloud.Tariff{Unit: "metrics requested", Price: cmp.Or(c.Price, listPrice), Daily: c.DailyBudget}
}

// Collector reads one account of AWS. It is for one goroutine at a time.
type Collector struct {
	cfg     Config
	session session
	regions []*region
	budget  *cloud.Budget
	access  *cloud.Access
	book    *cloud.Book
	account string

	settled memory
	turn    turn
	// asked is how many metrics of each class the last whole collection came to.
	asked map[class]int
}

// New reads the state and finds the credentials; AWS is not called before the first collection.
func New(ctx context.Context, cfg Config) (*Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	c := &Collector{cfg: cfg, settled: newMemory(), turn: turn{memory: newMemory()}}
	var err error
	if c.session, err = newSession(ctx, cfg); err != nil {
		return nil, err
	}
	regions := cfg.Regions
	if len(regions) == 0 && c.session.aws.Region != "" {
		regions = []string{c.session.aws.Region}
	}
	if len(regions) == 0 {
		return nil, errors.New("AWS: no region; name regions, or set AWS_REGION or the profile's region")
	}
	if c.budget, err = cloud.OpenBudget(ctx, cfg.Stores("budget"), cfg.tariff(), cfg.Spent); err != nil {
		return nil, err
	}
	if c.access, err = cloud.OpenAccess(ctx, cfg.Stores("pauses"), cfg.Paces, cfg.Pauses); err != nil {
		return nil, err
	}
	if c.book, err = cloud.OpenBook(ctx, cfg.Stores, cfg.Since, cfg.Meter); err != nil {
		return nil, err
	}
	for _, m := range c.book.Told() {
		c.settled.told[collect.SeriesKey(m.Name, m.Labels, m.Source)] = true
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(regions))) {
		r := newRegion(name, cfg, c.session)
		r.budget, r.access = c.budget, c.access
		if err := r.recall(ctx); err != nil {
			return nil, err
		}
		c.regions = append(c.regions, r)
	}
	return c, nil
}

// ListAvailableMetrics lists what the configured sets can tell.
func (c *Collector) ListAvailableMetrics(context.Context) ([]collect.MetricDefinition, error) {
	names := map[string]bool{}
	for _, name := range factNames {
		names[name] = true
	}
	for _, r := range slices.Concat(machineTable, volumeTable, agentTable) {
		names[r.name] = names[r.name] || c.cfg.has(r.set)
	}
	var all []collect.MetricDefinition
	for _, def := range collect.NewRegistry().Definitions(collect.CloudWatch, collect.CWAgent) {
		if names[def.Name] {
			all = append(all, def)
		}
	}
	return all, nil
}

// CollectMetrics reads all that something new may have come for. A query that selects is answered beside that: nothing
// of it counts as told.
func (c *Collector) CollectMetrics(ctx context.Context, query tsdb.MetricsQuery) ([]collect.Metric, error) {
	selection, err := collect.Select(query)
	if err != nil {
		return nil, err
	}
	c.book.Begin()
	c.turn = turn{now: c.session.clock.now(), peek: !isWhole(query), memory: newMemory()}
	if err := c.identify(ctx); err != nil {
		return nil, err
	}
	looks, err := c.look(ctx)
	c.turn.now = c.session.clock.now()
	failed := []error{err}
	var series []cloud.Series
	facts := facts{wants: selection.Wants, tags: c.cfg.Tags, now: c.turn.now}
	works, err := c.work(looks, selection)
	failed = append(failed, err, c.readAll(ctx, works))
	for _, w := range works {
		series = append(series, c.seriesOf(w)...)
		c.answered(w.region, w.plan, w.asks, w.answers, w.known.whole)
		facts.tell(w.known, w.planner.labels)
		if !c.turn.peek {
			failed = append(failed, w.region.checkUnits(ctx, w.asks, w.answers, c.turn.now))
		}
	}
	metrics := c.enter(append(series, facts.series...), works)
	return selection.Keep(metrics), joined(failed)
}

// joined says each thing once.
func joined(errs []error) error {
	var once []error
	said := map[string]bool{}
	for _, err := range errs {
		if err != nil && !said[err.Error()] {
			said[err.Error()] = true
			once = append(once, err)
		}
	}
	return errors.Join(once...)
}

func isWhole(q tsdb.MetricsQuery) bool {
	return len(q.MetricNames) == 0 && len(q.Filters) == 0 && q.TimeRange.Start.IsZero() && q.TimeRange.End.IsZero() && q.Limit == 0
}

// identify finds out whose the metrics are: once.
func (c *Collector) identify(ctx context.Context) error {
	if c.account != "" {
		return nil
	}
	who := caller{cfg: c.cfg, access: c.access}
	account, err := call(ctx, who, apiIdentity, c.session.identity)
	if err != nil {
		return err
	}
	c.account = account
	for _, r := range c.regions {
		r.account = account
	}
	return nil
}

// work is what is done for one region in one collection.
type work struct {
	region  *region
	known   known
	planner *planner
	plan    plan
	asks    map[string]ask
	answers map[string]answer
}

// look reads the lists of all regions.
func (c *Collector) look(ctx context.Context) ([]known, error) {
	looks, failed := make([]known, len(c.regions)), make([]error, len(c.regions))
	var group errgroup.Group
	group.SetLimit(c.cfg.Limits.Calls)
	for i, r := range c.regions {
		group.Go(func() error {
			looks[i], failed[i] = r.look(ctx, c.session.clock.now())
			return nil
		})
	}
	_ = group.Wait() // the errors are beside what was found
	return looks, errors.Join(failed...)
}

// work plans what to ask.
func (c *Collector) work(looks []known, selection collect.Selection) ([]*work, error) {
	var works []*work
	var failed []error
	left := c.cfg.Limits.Metrics
	counts := map[class]int{}
	for i, r := range c.regions {
		p := &planner{cfg: c.cfg, account: c.account, region: r.name, wants: selection.Wants, now: c.turn.now, linger: lingerOf(c.cfg), quiet: r.quiet}
		p.stored = func(q query) time.Time { return c.storedOf(r, q) }
		w := &work{region: r, known: looks[i], planner: p, plan: p.make(looks[i], &r.units), answers: map[string]answer{}}
		if err := w.plan.bound(left); err != nil {
			failed = append(failed, fmt.Errorf("AWS %s: %w", r.name, err))
		}
		left -= len(w.plan.queries)
		w.asks = c.asks(r, w.plan)
		works = append(works, w)
		for _, q := range w.plan.queries {
			counts[q.class]++
		}
	}
	if !c.turn.peek {
		c.asked = counts
	}
	return works, errors.Join(failed...)
}

// readAll makes the calls of all regions, some at once. What was answered beside an error is good.
func (c *Collector) readAll(ctx context.Context, works []*work) error {
	type result struct {
		answers map[string]answer
		err     error
	}
	var group errgroup.Group
	group.SetLimit(c.cfg.Limits.Calls)
	results := make([][]result, len(works))
	for i, w := range works {
		calls := batches(slices.Collect(maps.Values(w.asks)))
		results[i] = make([]result, len(calls))
		for n, batch := range calls {
			group.Go(func() error {
				answers, err := w.region.read(ctx, batch)
				results[i][n] = result{answers, err}
				return nil
			})
		}
	}
	_ = group.Wait() // the errors are beside what was found
	var failed []error
	for i, w := range works {
		for _, one := range results[i] {
			maps.Copy(w.answers, one.answers)
			failed = append(failed, one.err)
		}
	}
	return joined(failed)
}

func (c *Collector) seriesOf(w *work) []cloud.Series {
	var all []cloud.Series
	for _, want := range w.plan.wants {
		if s, whole := want.series(w.answers, w.asks); c.present(s, whole) {
			all = append(all, s)
		}
	}
	return all
}

// Forecast is what a day costs when it goes on like the last collection. Lists and units come on top, a few cents.
func (c *Collector) Forecast() cloud.Forecast {
	day := c.cfg.tariff()
	units := 0.0
	for of, n := range c.asked {
		units += day.Forecast(n, max(c.cfg.Interval, timings[of].Period)).Units
	}
	return cloud.Forecast{Tariff: day, Units: units}
}

// Progress tells how far it is, and what a day costs.
func (c *Collector) Progress() collect.Progress {
	f := c.Forecast()
	return collect.Progress{Watermark: c.Through(), ForecastUnits: f.Units, ForecastCost: f.Dollars(), Pauses: c.access.Pauses(), Spent: c.budget.Spending()}
}

// Through is the end of the last period up to which everything is stored: where another collector of the same account
// would go on.
func (c *Collector) Through() time.Time { return c.book.Through() }
