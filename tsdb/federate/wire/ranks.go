package wire

import (
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/federate"
)

// maxBounds bounds the values of all bounds in one question.
const maxBounds = 1 << 20

func ranksTo(all []*federate.Ranks) []*agentv1.EvaluateRanks {
	messages := make([]*agentv1.EvaluateRanks, len(all))
	for i, r := range all {
		messages[i] = &agentv1.EvaluateRanks{}
		if r == nil {
			continue
		}
		messages[i].Wanted, messages[i].Labels, messages[i].Without = r.First == 0, r.Labels, r.Without
		messages[i].First, messages[i].Lowest = uint32(r.First), r.Lowest
		for _, b := range r.Bounds {
			packed := &agentv1.RankBounds{Labels: labelsTo(b.Labels), Low: b.Low, High: b.High}
			if r.First > 0 {
				packed.Low, packed.High = bounding(b.Low, math.IsNaN), bounding(b.High, isInf)
			}
			messages[i].Bounds = append(messages[i].Bounds, packed)
		}
	}
	return messages
}

func isInf(v float64) bool { return math.IsInf(v, 1) }

// bounding are the bounds of one side, none where all of them are none.
func bounding(all []float64, none func(float64) bool) []float64 {
	for _, v := range all {
		if !none(v) {
			return all
		}
	}
	return nil
}

// boundsFrom are those of one side, for so many steps. Where they may be left out, all are the same then.
func boundsFrom(all []float64, steps int, optional bool, none float64) []float64 {
	if optional && len(all) == 0 {
		return slices.Repeat([]float64{none}, steps)
	}
	return all
}

// ranksFrom reads those of an evaluation of some expressions and steps.
func ranksFrom(messages []*agentv1.EvaluateRanks, exprs, steps int) ([]*federate.Ranks, error) {
	if len(messages) > exprs {
		return nil, fmt.Errorf("ranks for %d expressions of %d", len(messages), exprs)
	}
	var all []*federate.Ranks
	builder, values := labels.NewScratchBuilder(8), 0
	for i, m := range messages {
		first := int(min(m.GetFirst(), 1<<30))
		switch {
		case m.GetWanted():
			first = 0
		case first == 0:
			continue
		}
		if all == nil {
			all = make([]*federate.Ranks, exprs)
		}
		all[i] = &federate.Ranks{Labels: m.GetLabels(), Without: m.GetWithout(), First: first, Lowest: m.GetLowest()}
		for _, b := range m.GetBounds() {
			lset, err := labelsFrom(&builder, b.GetLabels())
			if err != nil {
				return nil, err
			}
			if values += 2 * steps; values > maxBounds {
				return nil, fmt.Errorf("bounds have more than %d values", maxBounds)
			}
			low, high := boundsFrom(b.GetLow(), steps, first > 0, math.NaN()), boundsFrom(b.GetHigh(), steps, first > 0, math.Inf(1))
			if len(low) != steps || len(high) != steps {
				return nil, fmt.Errorf("bounds of a group are %d and %d values for %d steps", len(low), len(high), steps)
			}
			all[i].Bounds = append(all[i].Bounds, federate.RankBounds{Labels: lset, Low: low, High: high})
		}
	}
	return all, nil
}

// pieceValues is how many values are in a piece at most.
const pieceValues = messageBytes / 8

// rankedTo hands the values of a group on in pieces, which add up.
func rankedTo(expr int, r federate.Ranked, send func(*agentv1.RankedValues) error) error {
	lset, values := labelsTo(r.Labels), r.Values
	piece := func(from, end, n int) *agentv1.RankedValues {
		m := &agentv1.RankedValues{
			Expr: uint32(expr), Labels: lset, First: uint32(r.First + from), Below: r.Below[from:end], Within: r.Within[from:end], Above: r.Above[from:end], Values: values[:n],
		}
		values = values[n:]
		return m
	}
	for from := 0; from < len(r.Within); {
		end, n := from+1, int(r.Within[from])
		for ; end < len(r.Within) && n+int(r.Within[end]) <= pieceValues; end++ {
			n += int(r.Within[end])
		}
		m := piece(from, end, min(n, pieceValues))
		for ; n > pieceValues; n -= pieceValues { // one step alone has more
			m.Within = []uint32{pieceValues}
			if err := send(m); err != nil {
				return err
			}
			m = piece(from, end, min(n-pieceValues, pieceValues))
			m.Below, m.Above, m.Within = []uint32{0}, []uint32{0}, []uint32{uint32(len(m.Values))}
		}
		if err := send(m); err != nil {
			return err
		}
		from = end
	}
	return nil
}

// rankedFrom reads a piece for so many steps.
func rankedFrom(builder *labels.ScratchBuilder, m *agentv1.RankedValues, steps int) (r federate.Ranked, err error) {
	r = federate.Ranked{First: int(m.GetFirst()), Below: m.GetBelow(), Within: m.GetWithin(), Above: m.GetAbove(), Values: m.GetValues()}
	if r.Labels, err = labelsFrom(builder, m.GetLabels()); err != nil {
		return r, err
	}
	return r, r.Check(steps)
}

// rankedBytes is about what a piece takes, on its way and in memory.
func rankedBytes(m *agentv1.RankedValues) int {
	n := 8*len(m.GetValues()) + 12*len(m.GetWithin()) + 16
	for _, text := range m.GetLabels() {
		n += len(text) + 2
	}
	return n
}
