// Package transfer brings metrics of other stores into a shard, and a shard's metrics out: text in the formats of
// OpenMetrics and Prometheus, and blocks of Prometheus.
package transfer

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/index"
	"github.com/novacron/novacron/tsdb/merge"
)

// Target takes what is imported; the durable engine is one.
type Target interface {
	// ImportRange is the stretch of time that a block with a sample of some time should lie in.
	ImportRange(t int64) merge.Interval
	ImportBlock(ctx context.Context, fill func(add func(labels.Labels, []merge.Chunk) error) error) (block.Meta, error)
}

// Options are for an import.
type Options struct {
	// Scratch is a folder for one file of 20 bytes for each sample of a text.
	Scratch string
	// Time is what samples of a text get that have none of their own; without it they are an error.
	Time time.Time
	// Now bounds the times that are taken: a sample may be ten minutes ahead. The zero value means time.Now.
	Now time.Time
	// Limits bound labels; numbers of series are not looked at. The zero value means index.DefaultLimits.
	Limits index.Limits
	// Describe, when set, is told types, units and help texts of metrics.
	Describe func(name, kind, unit, help string)
	// Buffer is how many samples are held in memory; 2 million, which take 80 MB.
	Buffer int
}

func (o Options) withDefaults() Options {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Limits == (index.Limits{}) {
		o.Limits = index.DefaultLimits()
	}
	if o.Describe == nil {
		o.Describe = func(string, string, string, string) {}
	}
	if o.Buffer <= 0 {
		o.Buffer = 2_000_000
	}
	return o
}

// Report says what was imported or exported.
type Report struct {
	Series, Samples, Blocks int64
	// MinTime and MaxTime are of the samples, in milliseconds.
	MinTime, MaxTime int64
	// LeftOut counts what the format or the shard has no place for, by what it is.
	LeftOut map[string]int64
}

// What can be left out.
const (
	LeftExemplars  = "exemplars"
	LeftHistograms = "native_histograms"
	LeftStale      = "stale_markers"
	LeftDeleted    = "deleted_samples"
)

func (r *Report) leave(what string, n int64) {
	if n == 0 {
		return
	}
	if r.LeftOut == nil {
		r.LeftOut = map[string]int64{}
	}
	r.LeftOut[what] += n
}

func (r *Report) widen(minT, maxT int64) {
	if r.Samples == 0 {
		r.MinTime, r.MaxTime = minT, maxT
	}
	r.MinTime, r.MaxTime = min(r.MinTime, minT), max(r.MaxTime, maxT)
}

// ahead is how far after now a sample may be.
const ahead = 10 * time.Minute

// checkTime refuses times that can only be a mistake, mostly one of units.
func (o *Options) checkTime(t int64) error {
	latest := o.Now.Add(ahead).UnixMilli()
	if t < 0 || t > latest {
		return fmt.Errorf("the time %s is out of bounds: allowed are 1970-01-01 to %s; OpenMetrics has seconds, Prometheus's text format milliseconds", stamp(t), stamp(latest))
	}
	return nil
}

// checkLabels refuses labels that the shard would not take from a collector either.
func (o *Options) checkLabels(lset labels.Labels) error {
	if lset.Get(nameLabel) == "" {
		return fmt.Errorf("the series %.200s has no name", lset.String())
	}
	if most := o.Limits.Labels; most > 0 && lset.Len() > most {
		return fmt.Errorf("the series %.200s has %d labels, allowed are %d", lset.String(), lset.Len(), most)
	}
	return lset.Validate(func(l labels.Label) error {
		if most := o.Limits.NameBytes; most > 0 && len(l.Name) > most {
			return fmt.Errorf("the label name %.60q… has %d bytes, allowed are %d", l.Name, len(l.Name), most)
		}
		if most := o.Limits.ValueBytes; most > 0 && len(l.Value) > most {
			return fmt.Errorf("the label %s has a value of %d bytes, allowed are %d", l.Name, len(l.Value), most)
		}
		return nil
	})
}

const nameLabel = "__name__"

// stamp shows a time in milliseconds to people.
func stamp(t int64) string { return time.UnixMilli(t).UTC().Format("2006-01-02T15:04:05.000Z") }
