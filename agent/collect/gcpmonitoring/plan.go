package gcpmonitoring

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/api/metric"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// ask is a metric type to ask for, once a collection whatever is made of it.
type ask struct {
	descriptor
	group  string
	window cloud.Window
	rows   []ruled
	// lost says that periods before the window were never read and are too old to be.
	lost bool
}

// ruled is a row with the conversion that the descriptor tells.
type ruled struct {
	row
	collect.Conversion
}

// mapped tells whether the type has a canonical name.
func (a ask) mapped() bool { return len(a.rows) > 0 }

// wanted are the rows of a configuration by metric type.
func wanted(cfg Config) map[string][]row {
	byType := map[string][]row{}
	for _, r := range table() {
		if r.set == setExtended && !cfg.Extended || r.set == setAgent && !cfg.Agent {
			continue
		}
		byType[r.native] = append(byType[r.native], r)
	}
	return byType
}

// plan says what to ask a project for: the wanted types that it has, and those that pass through unmapped.
func (c *Collector) plan(p *project, types map[string]descriptor, selection collect.Selection, now time.Time) (asks []ask) {
	for _, native := range slices.Sorted(maps.Keys(types)) {
		d := types[native]
		rows, mapped := c.ruledBy(d)
		if !mapped {
			if !c.passes(d) || !selection.Wants(collect.GCPName(native)) && !c.wantsPart(selection, native) {
				continue
			}
		} else if rows = slices.DeleteFunc(rows, func(r ruled) bool { return !c.feeds(selection, r.name) }); len(rows) == 0 {
			continue
		}
		a := ask{descriptor: d, rows: rows, group: p.group(native)}
		a.window, a.lost = c.window(p, d, now)
		asks = append(asks, a)
	}
	return asks
}

// ruledBy are the rows of a type that agree with its descriptor; mapped says that the type has a canonical name.
func (c *Collector) ruledBy(d descriptor) (rows []ruled, mapped bool) {
	for _, r := range c.rows[d.native] {
		unit := r.unit
		if unit == "" {
			def, _ := c.registry.Lookup(r.name)
			unit = def.Unit
		}
		conversion, err := r.agrees(d, unit)
		if err != nil {
			c.cfg.Meter.UnitMismatch()
			c.once(err.Error(), "a metric of Google's is not what it was; its series are skipped")
			continue
		}
		rows = append(rows, ruled{r, conversion})
	}
	return rows, len(c.rows[d.native]) > 0 || canonical[d.native]
}

// canonical are all types that have a canonical name, asked for or not.
var canonical = func() map[string]bool {
	all := map[string]bool{}
	for _, r := range table() {
		all[r.native] = true
	}
	return all
}()

// passes tells whether a type without a canonical name was asked for and has values that can be kept.
func (c *Collector) passes(d descriptor) bool {
	return d.value != metric.MetricDescriptor_STRING && d.value != metric.MetricDescriptor_MONEY &&
		slices.ContainsFunc(c.cfg.Unmapped, func(prefix string) bool { return strings.HasPrefix(d.native, prefix) })
}

// wantsPart tells whether one of the series of a histogram is asked for.
func (c *Collector) wantsPart(selection collect.Selection, native string) bool {
	return slices.ContainsFunc([]string{"_bucket", "_sum", "_count"}, func(suffix string) bool {
		return selection.Wants(collect.GCPName(native) + suffix)
	})
}

// feeds tells whether a canonical metric is asked for or another that is made of it.
func (c *Collector) feeds(selection collect.Selection, name string) bool {
	if selection.Wants(name) {
		return true
	}
	made := name == "vm_memory_used_bytes" || name == "vm_memory_limit_bytes"
	return made && selection.Wants("vm_memory_utilization_ratio")
}

// leastPeriods are those of a window that catches up, however many series there are: more than are read again each time.
const leastPeriods = 15

// window is what to ask for of a group. When much was missed it ends early, so that a collection yields about as many
// samples as it may; the next one goes on from there.
func (c *Collector) window(p *project, d descriptor, now time.Time) (w cloud.Window, lost bool) {
	group := p.group(d.native)
	w = c.book.Window(group, d.timing, now, c.cfg.Back)
	ever := c.book.Window(group, d.timing, now, 100*365*24*time.Hour)
	if end := w.From.Add(time.Duration(c.periods(p, d.native)) * d.timing.Period); w.To.After(end) {
		w.To = end
		if w.Final.After(end) {
			w.Final = end
		}
	}
	return w, ever.From.Before(w.From)
}

// periods are the most to ask for of a type: fewer while its answer had too many pages.
func (c *Collector) periods(p *project, native string) int {
	series := c.series
	if series == 0 {
		series = len(p.listed) * len(c.rows)
	}
	most := max(leastPeriods, c.cfg.MaxSamples/max(1, series))
	if narrow, is := p.narrow[native]; is {
		most = min(most, narrow)
	}
	return most
}

// learnWidth has the next window be half as wide where this one was too wide, and as wide as it may where it was not.
func (p *project) learnWidth(a ask, got answer) {
	switch {
	case got.whole:
		delete(p.narrow, a.native)
	case errors.Is(got.err, errPages):
		p.narrow[a.native] = max(leastPeriods, int(a.window.To.Sub(a.window.From)/a.timing.Period)/2)
	}
}
