// Package engine is the contract of a store of samples: what the engine in memory and the durable one both keep.
package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Ref names a series of one open engine. A series that had no sample for long is forgotten with its Ref; samples for a
// forgotten Ref are refused with ReasonUnknownSeries, and the writer asks for a new one by the labels. Zero names none.
type Ref uint64

// Sample is a value at a time in milliseconds since 1970. Its bits are kept: a stale marker comes back as one.
type Sample struct {
	Ref Ref
	T   int64
	V   float64
}

// HistogramSample is a native histogram at a time in milliseconds: exactly one of Int and Float is set. The engine
// keeps no reference to it after Append. What it returns has the hint of a gauge where it was written so; else
// «no reset» where the engine has compared it with the sample before, and «unknown» where not.
type HistogramSample struct {
	Ref Ref
	T   int64
	// ST is since when the histogram has been counting, in milliseconds; 0 where that is not known.
	ST    int64
	Int   *histogram.Histogram
	Float *histogram.FloatHistogram
}

// ExemplarSample is an exemplar of a series; its time is in milliseconds.
type ExemplarSample struct {
	Ref Ref
	exemplar.Exemplar
}

// Start says since when the counter of a sample has been counting. Few sources tell it.
type Start struct {
	// Index is the place of the sample in the batch's Samples. Starts are in the order of it.
	Index int
	// ST is a time in milliseconds; 0 where it is not known.
	ST int64
}

// Batch is what one call appends. The engine keeps none of its slices.
type Batch struct {
	Samples    []Sample
	Starts     []Start
	Histograms []HistogramSample
	Exemplars  []ExemplarSample
}

// Reason says why something was refused; it is a label value of the shard's own metrics.
type Reason string

// The reasons for which single samples or new series are refused while all others are stored.
const (
	ReasonUnknownSeries  Reason = "unknown_series"
	ReasonTooOld         Reason = "too_old"
	ReasonTooFarAhead    Reason = "too_far_ahead"
	ReasonBadHistogram   Reason = "bad_histogram"
	ReasonBadLabels      Reason = "bad_labels"
	ReasonSeriesLimit    Reason = "series_limit"
	ReasonMetricLimit    Reason = "metric_limit"
	ReasonJobLimit       Reason = "job_limit"
	ReasonClusterLimit   Reason = "cluster_limit"
	ReasonDiskFull       Reason = "disk_full"
	ReasonExemplarTooOld Reason = "exemplar_too_old"
)

// Refusal is one sample or series that was not stored.
type Refusal struct {
	Reason Reason
	// Index is the place in the batch's Samples, Histograms or Exemplars, -1 for a series.
	Index int
	// Detail says what, the value, the limit and the way out.
	Detail string
}

func (r *Refusal) Error() string { return fmt.Sprintf("refused (%s): %s", r.Reason, r.Detail) }

// Appended tells what came of a batch. Everything that is not refused is stored, and survives what the engine's
// durability promises.
type Appended struct {
	Stored  int
	Refused []Refusal
}

// Errors that concern a whole call.
var (
	ErrClosed   = errors.New("the store is closed")
	ErrDiskFull = errors.New("the disk of the store is full: nothing was stored; reads go on, and writes as soon as there is room")
	ErrReadOnly = errors.New("the store is open for reading only")
)

// Tier is a resolution that samples are kept in.
type Tier uint8

// The tiers: as written, and windows of five minutes and of one hour.
const (
	TierRaw Tier = iota
	TierFiveMinutes
	TierHour
)

// Window is the length of the tier's windows in milliseconds, 0 for raw samples.
func (t Tier) Window() int64 { return [...]int64{0, 5 * 60_000, 60 * 60_000}[t] }

func (t Tier) String() string { return [...]string{"raw", "5m", "1h"}[t] }

// Column is what a window of a tier keeps of the raw samples in it. Windows are open on the left and closed on the
// right, (end-window, end], and their values stand at their end; stale markers are not counted.
type Column uint8

// The columns. Counter yields the first and the last sample of each window at their own times, freed of counter
// resets, so that the difference of any two values is the increase between them.
const (
	ColumnLast Column = iota
	ColumnCount
	ColumnSum
	ColumnMin
	ColumnMax
	ColumnCounter
)

// Selection is a question for series and their samples.
type Selection struct {
	// Min and Max are the bounds of time in milliseconds, both inclusive. For windows they bound the ends.
	Min, Max int64
	Matchers []*labels.Matcher
	// Tier and Column choose windows in place of raw samples; where an engine has not made the windows yet it makes
	// them of raw samples while reading. Native histograms have one column: the last of each window.
	Tier   Tier
	Column Column
	// Sorted asks for the series in the order of their labels.
	Sorted bool
	// Limit is the most series to return, 0 for all.
	Limit int
}

// Series is one series of an answer; it satisfies Prometheus's storage.Series. The iterator given to Iterator is used
// again if it is one of the engine's. Histograms it returns are copies.
type Series interface {
	Labels() labels.Labels
	Iterator(chunkenc.Iterator) chunkenc.Iterator
}

// SeriesSet walks over the series of an answer. No two of them have the same labels; their samples are in order of
// time, one for each time. Close frees what the set holds; series are not to be used after it.
type SeriesSet interface {
	Next() bool
	At() Series
	Err() error
	Close() error
}

// Engine stores samples of series and answers selections. All methods may be called at the same time.
type Engine interface {
	// Ref finds the series with these labels or makes it; a new series that breaks a limit is a *Refusal.
	Ref(lset labels.Labels) (Ref, error)
	// Append stores a batch: when it returns without an error, everything but what it says it refused is stored. Of
	// samples with the same series and time the last one written stays. Samples may come in any order of time within
	// the engine's window.
	Append(ctx context.Context, batch Batch) (Appended, error)
	// Select finds the series with samples in the bounds; an answer sees every sample that was appended before the
	// call. A series with samples on both sides of the bounds alone may be there too, and then yields none.
	Select(ctx context.Context, sel Selection) (SeriesSet, error)
	// LabelNames and LabelValues list, sorted, what the series that match have in the bounds of time; limit 0 is none.
	LabelNames(ctx context.Context, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error)
	LabelValues(ctx context.Context, name string, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error)
	// Exemplars lists the kept exemplars of the series that match, in order of time for each series.
	Exemplars(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) ([]SeriesExemplars, error)
	// Delete forgets the samples in the bounds, both inclusive, of the series that match. Reads no longer see them
	// when it returns; their space is freed later.
	Delete(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) error
	// Cardinality tells which metrics, labels and values the series are made of.
	Cardinality(top int) Cardinality
	// Bounds are the times of the oldest and newest sample, in milliseconds; ok is false when there are none.
	Bounds() (minT, maxT int64, ok bool)
	Close() error
}

// SeriesExemplars are the exemplars of one series.
type SeriesExemplars struct {
	Labels    labels.Labels
	Exemplars []exemplar.Exemplar
}

// Count is a name and how often it occurs.
type Count struct {
	Name  string
	Count uint64
}

// Cardinality says where the series come from. Lists hold the largest first.
type Cardinality struct {
	// Series is the number of live series; Churned estimates how many different ones there were in the last 24 hours.
	Series, Churned uint64
	Labels, Values  uint64
	// ByMetric counts series by metric name, ByLabel values by label name, ByPair series by «name=value», and
	// BytesByLabel the bytes of the values by label name.
	ByMetric, ByLabel, ByPair, BytesByLabel []Count
}
