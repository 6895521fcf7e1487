package custom

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"google.golang.org/protobuf/encoding/protowire"
)

// maxBuckets bounds the buckets, spans and bounds of one histogram on each side of zero; few have more than 320.
const maxBuckets = 20_000

// wireHistogram is a histogram as remote write tells it, the same in both of its versions but for the start.
type wireHistogram struct {
	h         histogram.FloatHistogram
	at, start int64
	// whole is the last count that the message had: counts of buckets are differences then.
	whole              bool
	positive, negative []int64
	hint               int64
}

// readHistogram reads a message. What cannot be a histogram is told by Validate of the result.
func readHistogram(message []byte) (*wireHistogram, error) {
	w := &wireHistogram{whole: true}
	if err := fields(message, w.field); err != nil {
		return nil, err
	}
	if w.whole {
		w.h.PositiveBuckets, w.h.NegativeBuckets = absolute(w.positive), absolute(w.negative)
	}
	switch w.hint {
	case 1:
		w.h.CounterResetHint = histogram.CounterReset
	case 2:
		w.h.CounterResetHint = histogram.NotCounterReset
	case 3:
		w.h.CounterResetHint = histogram.GaugeType
	}
	return w, nil
}

// absolute makes counts of differences.
func absolute(deltas []int64) []float64 {
	if len(deltas) == 0 {
		return nil
	}
	counts, sum := make([]float64, len(deltas)), int64(0)
	for i, d := range deltas {
		sum += d
		counts[i] = float64(sum)
	}
	return counts
}

func (w *wireHistogram) field(f field) (err error) {
	switch f.number {
	case 1, 6:
		err = w.count(f, true)
	case 2, 7:
		err = w.count(f, false)
	case 3:
		w.h.Sum, err = f.float()
	case 4:
		var schema int64
		schema, err = f.signed()
		if err == nil && (schema < math.MinInt32 || schema > math.MaxInt32) {
			err = fmt.Errorf("the schema %d is none", schema)
		}
		w.h.Schema = int32(schema) // checked
	case 5:
		w.h.ZeroThreshold, err = f.float()
	case 8:
		w.h.NegativeSpans, err = addSpan(w.h.NegativeSpans, f)
	case 9:
		err = f.varints(addDelta(&w.negative))
	case 10:
		err = f.floats(addBucket(&w.h.NegativeBuckets))
	case 11:
		w.h.PositiveSpans, err = addSpan(w.h.PositiveSpans, f)
	case 12:
		err = f.varints(addDelta(&w.positive))
	case 13:
		err = f.floats(addBucket(&w.h.PositiveBuckets))
	case 14:
		w.hint, err = f.integer()
	case 15:
		w.at, err = f.integer()
	case 16:
		err = f.floats(addBucket(&w.h.CustomValues))
	case 17:
		w.start, err = f.integer()
	}
	return err
}

// count is the number of all observations or of those about zero, as a whole number or not.
func (w *wireHistogram) count(f field, whole bool) error {
	v := float64(f.bits)
	if !whole {
		v = math.Float64frombits(f.bits)
	}
	if whole != (f.kind == protowire.VarintType) || !whole && f.kind != protowire.Fixed64Type {
		return errKind
	}
	if f.number == 1 || f.number == 2 {
		w.whole, w.h.Count = whole, v
	} else {
		w.h.ZeroCount = v
	}
	return nil
}

func errBuckets() error {
	return fmt.Errorf("the histogram has more than %d buckets or spans on one side", maxBuckets)
}

func addDelta(all *[]int64) func(uint64) error {
	return func(v uint64) error {
		if len(*all) == maxBuckets {
			return errBuckets()
		}
		*all = append(*all, protowire.DecodeZigZag(v))
		return nil
	}
}

func addBucket(all *[]float64) func(float64) error {
	return func(v float64) error {
		if len(*all) == maxBuckets {
			return errBuckets()
		}
		*all = append(*all, v)
		return nil
	}
}

func addSpan(all []histogram.Span, f field) ([]histogram.Span, error) {
	message, err := f.message()
	if err != nil {
		return nil, err
	}
	if len(all) == maxBuckets {
		return nil, errBuckets()
	}
	var span histogram.Span
	err = fields(message, func(f field) error {
		switch f.number {
		case 1:
			v, err := f.signed()
			if v < math.MinInt32 || v > math.MaxInt32 {
				return fmt.Errorf("the offset %d is beyond 32 bits", v)
			}
			span.Offset = int32(v) // checked
			return err
		case 2:
			v, err := f.integer()
			if v < 0 || v > maxBuckets {
				return errBuckets()
			}
			span.Length = uint32(v) // checked
			return err
		}
		return nil
	})
	return append(all, span), err
}
