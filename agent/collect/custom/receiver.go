package custom

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
)

// Receiver takes metrics that others send. It may be used by several callers at once.
type Receiver struct {
	Registry *collect.Registry
	Sink     collect.Sink
	Limits   Limits
	// Describe, when set, is told what senders say of metrics that are not in the registry.
	Describe func(collect.MetricDefinition)
	// Meter counts what was stored and refused; nil counts nothing.
	Meter *collect.Meter
}

// Limits bound what a receiver takes.
type Limits struct {
	// Undeclared takes metrics that are not in the registry, unless their names are kept for the collectors.
	Undeclared bool
	// MaxSamples is the most of one request; 0 means DefaultMaxSamples.
	MaxSamples int
	// MaxBytes is the most of one request when it is unpacked; 0 means 16 MiB.
	MaxBytes int64
	// InFlight is how many requests of each kind are taken at once; 0 means 4. Others wait a while.
	InFlight int
}

const (
	defaultRequestBytes = 16 << 20
	defaultInFlight     = 4
	// maxTold bounds the refusals that are told one by one; all are counted.
	maxTold = 10_000
)

func (l Limits) withDefaults() Limits {
	if l.MaxSamples == 0 {
		l.MaxSamples = DefaultMaxSamples
	}
	if l.MaxBytes == 0 {
		l.MaxBytes = defaultRequestBytes
	}
	if l.InFlight == 0 {
		l.InFlight = defaultInFlight
	}
	return l
}

// Outcome is what became of metrics.
type Outcome struct {
	// Samples, Histograms and Exemplars count what was stored. The shard may leave out exemplars that are too old.
	Samples, Histograms, Exemplars int
	// Refused is how many metrics were not, ByReason how many for each reason, and First the first 10,000 of
	// them, each with its place among the metrics that were given.
	Refused  int
	ByReason map[string]int
	First    []*collect.Refusal
	// Retry says that some were refused for a reason that passes: the disk of the shard is full.
	Retry bool
}

// Stored is how many metrics were stored.
func (o *Outcome) Stored() int { return o.Samples + o.Histograms }

// Error tells the first refusal and how many there are.
func (o *Outcome) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d metrics were refused", o.Refused, o.Refused+o.Stored())
	for i, one := range o.First {
		if i == 10 {
			break
		}
		fmt.Fprintf(&b, "\n%s: %s", one.Reason, one.Detail)
	}
	return b.String()
}

func (o *Outcome) refuse(one *collect.Refusal) {
	o.count(string(one.Reason), 1)
	if len(o.First) < maxTold {
		o.First = append(o.First, one)
	}
}

func (o *Outcome) count(reason string, n int) {
	if o.ByReason == nil {
		o.ByReason = map[string]int{}
	}
	o.Refused += n
	o.ByReason[reason] += n
	o.Retry = o.Retry || reason == reasonDiskFull
}

// reasonDiskFull is the shard's reason that passes by itself.
const reasonDiskFull = "disk_full"

// Store stores all metrics but those that are refused. With an error nobody can say what was stored: send all again.
func (r *Receiver) Store(ctx context.Context, metrics []collect.Metric) (Outcome, error) {
	var out Outcome
	err := r.store(ctx, r.admit(metrics, &out), &out)
	r.tell(out)
	return out, err
}

// Push stores all metrics or, where the registry refuses one, none, and tells all refusals. What only the shard can
// know, such as that a sample is too old or that there are too many series, is told too; then the others are stored.
func (r *Receiver) Push(ctx context.Context, metrics []collect.Metric) (Outcome, error) {
	out := Outcome{}
	admitted := r.admit(metrics, &out)
	var err error
	if out.Refused == 0 {
		err = r.store(ctx, admitted, &out)
	}
	r.tell(out)
	return out, err
}

// Check tells which metrics would be refused, and stores nothing.
func (r *Receiver) Check(metrics []collect.Metric) []*collect.Refusal {
	var out Outcome
	r.admit(metrics, &out)
	return out.First
}

func (r *Receiver) tell(out Outcome) {
	r.Meter.Stored(out.Stored())
	r.Meter.Refused(out.ByReason)
}

// placed are metrics with their places among those that were given.
type placed struct {
	metrics []collect.Metric
	places  []int
}

func (p *placed) add(m collect.Metric, place int) {
	p.metrics, p.places = append(p.metrics, m), append(p.places, place)
}

// admit leaves what the registry takes.
func (r *Receiver) admit(metrics []collect.Metric, out *Outcome) placed {
	var asked, admitted placed
	for i, m := range metrics {
		if refusal := r.kept(m.Name); refusal != nil {
			refusal.Index = i
			out.refuse(refusal)
			continue
		}
		asked.add(m, i)
	}
	limits := r.Limits.withDefaults()
	good, refused := r.Registry.Admit(asked.metrics, collect.Limits{Undeclared: limits.Undeclared, MaxSamples: limits.MaxSamples})
	next := 0
	for i, place := range asked.places {
		if len(refused) > 0 && refused[0].Index == i {
			refused[0].Index = place
			out.refuse(refused[0])
			refused = refused[1:]
			continue
		}
		admitted.add(good[next], place)
		next++
	}
	return admitted
}

// own is how the agent's metrics of itself begin.
const own = "novacron_"

// kept refuses names that only collectors may use: a sender could forge what the cluster acts on.
func (r *Receiver) kept(name string) *collect.Refusal {
	if _, declared := r.Registry.Lookup(name); collect.OfEntity(name) || strings.HasPrefix(name, own) && !declared ||
		collect.PassesUndeclared(name) && !r.Limits.Undeclared {
		return &collect.Refusal{Reason: collect.ReasonUnknownMetric, Detail: fmt.Sprintf(
			"metric %.80s: names that begin so are kept for what NovaCron collects itself; send it under another name", name)}
	}
	return nil
}

// store hands floats and histograms to the sink apart, as their senders are told of them apart.
func (r *Receiver) store(ctx context.Context, all placed, out *Outcome) error {
	var floats, histograms placed
	for i, m := range all.metrics {
		if m.Histogram != nil {
			histograms.add(m, all.places[i])
		} else {
			floats.add(m, all.places[i])
		}
	}
	var err error
	if out.Samples, err = r.hand(ctx, floats, out); err != nil {
		return err
	}
	out.Histograms, err = r.hand(ctx, histograms, out)
	return err
}

// hand stores and tells how many were.
func (r *Receiver) hand(ctx context.Context, some placed, out *Outcome) (stored int, err error) {
	if len(some.metrics) == 0 {
		return 0, nil
	}
	err = r.Sink.StoreMetrics(ctx, some.metrics)
	if err == nil {
		for _, m := range some.metrics {
			out.Exemplars += len(m.Exemplars)
		}
		return len(some.metrics), nil
	}
	refused, is := errors.AsType[*tsdb.RefusedError](err)
	if !is {
		return 0, fmt.Errorf("store %d metrics: %w", len(some.metrics), err)
	}
	told := map[int]bool{}
	for _, one := range refused.First {
		told[one.Index] = true
		if len(out.First) < maxTold {
			out.First = append(out.First, &collect.Refusal{Reason: collect.Reason(one.Reason), Index: some.places[one.Index], Detail: one.Detail})
		}
	}
	for reason, n := range refused.ByReason {
		out.count(reason, n)
	}
	for i, m := range some.metrics {
		if !told[i] {
			out.Exemplars += len(m.Exemplars)
		}
	}
	return refused.Stored, nil
}

var _ collect.MetricsCollector = (*Receiver)(nil)

// CollectMetrics yields nothing: what a receiver takes is stored when it comes. As a job of the runner it tells how that
// goes.
func (r *Receiver) CollectMetrics(context.Context, tsdb.MetricsQuery) ([]collect.Metric, error) {
	return nil, nil
}

// ListAvailableMetrics lists what may be sent: the metrics that users have declared.
func (r *Receiver) ListAvailableMetrics(context.Context) ([]collect.MetricDefinition, error) {
	var declared []collect.MetricDefinition
	for _, def := range r.Registry.Definitions() {
		if !collect.OfEntity(def.Name) {
			declared = append(declared, def)
		}
	}
	return declared, nil
}
