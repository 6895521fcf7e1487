package wire

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/federate"
)

// absent stands for no value.
var absent = math.Float64frombits(value.StaleNaN)

// rowTo packs a row.
func rowTo(expr int, row federate.Row) *agentv1.EvaluatedSeries {
	s := &agentv1.EvaluatedSeries{Expr: uint32(expr), Labels: labelsTo(row.Labels)}
	values := make([]float64, 0, len(row.Values))
	s.Present = bits(len(row.Values), func(i int) bool { return !value.IsStaleNaN(row.Values[i]) })
	for _, v := range row.Values {
		if !value.IsStaleNaN(v) {
			values = append(values, v)
		}
	}
	s.Values = chunk.AppendValues(nil, values)
	if row.Histograms != nil {
		s.HistogramsPresent = bits(len(row.Histograms), func(i int) bool { return row.Histograms[i] != nil })
		there := slices.DeleteFunc(slices.Clone(row.Histograms), func(h *histogram.FloatHistogram) bool { return h == nil })
		s.Histograms = chunk.AppendFloatHistograms(nil, there)
	}
	return s
}

// bits has one for each step, the first lowest; it is empty where all are set.
func bits(n int, set func(int) bool) []byte {
	packed, missing := make([]byte, (n+7)/8), false
	for i := range n {
		if set(i) {
			packed[i/8] |= 1 << (i % 8)
		} else {
			missing = true
		}
	}
	if !missing {
		return nil
	}
	return packed
}

// stepsOf are the places that bits have set.
func stepsOf(packed []byte, n int) ([]int, error) {
	if len(packed) != 0 && len(packed) != (n+7)/8 {
		return nil, fmt.Errorf("a series has %d bytes of bits for %d steps", len(packed), n)
	}
	steps := make([]int, 0, n)
	for i := range n {
		if len(packed) == 0 || packed[i/8]&(1<<(i%8)) != 0 {
			steps = append(steps, i)
		}
	}
	return steps, nil
}

// rowFrom unpacks a row of a number of steps.
func rowFrom(builder *labels.ScratchBuilder, s *agentv1.EvaluatedSeries, n int) (row federate.Row, err error) {
	if row.Labels, err = labelsFrom(builder, s.GetLabels()); err != nil {
		return row, err
	}
	steps, err := stepsOf(s.GetPresent(), n)
	if err != nil {
		return row, err
	}
	values, err := chunk.DecodeValues(nil, s.GetValues(), len(steps))
	if err != nil {
		return row, fmt.Errorf("values of a series: %w", err)
	}
	row.Values = values
	if len(steps) < n {
		row.Values = slices.Repeat([]float64{absent}, n)
		for i, at := range steps {
			row.Values[at] = values[i]
		}
	}
	if len(s.GetHistograms()) > 0 {
		row.Histograms, err = histogramsFrom(s, n)
	}
	return row, err
}

func histogramsFrom(s *agentv1.EvaluatedSeries, n int) ([]*histogram.FloatHistogram, error) {
	steps, err := stepsOf(s.GetHistogramsPresent(), n)
	if err != nil {
		return nil, err
	}
	there, err := chunk.DecodeFloatHistograms(nil, s.GetHistograms(), len(steps))
	if err != nil {
		return nil, fmt.Errorf("histograms of a series: %w", err)
	}
	all := make([]*histogram.FloatHistogram, n)
	for i, at := range steps {
		all[at] = there[i]
	}
	return all, nil
}

// rowBytes is about what a packed row takes.
func rowBytes(s *agentv1.EvaluatedSeries) int {
	n := len(s.GetValues()) + len(s.GetHistograms()) + len(s.GetPresent()) + 16
	for _, text := range s.GetLabels() {
		n += len(text) + 2
	}
	return n
}

// sendRows packs an answer into messages of bounded size.
func sendRows(p federate.Partial, send func(*agentv1.EvaluateResponse) error) error {
	message, size := &agentv1.EvaluateResponse{}, 0
	for expr, rows := range p.Rows {
		for _, row := range rows {
			packed := rowTo(expr, row)
			message.Series = append(message.Series, packed)
			if size += rowBytes(packed); size < messageBytes {
				continue
			}
			if err := send(message); err != nil {
				return err
			}
			message, size = &agentv1.EvaluateResponse{}, 0
		}
	}
	message.Summary = &agentv1.EvaluateSummary{
		Infos: p.Infos, Warnings: p.Warnings, Shared: p.Shared, SharedUnknown: p.SharedUnknown, Samples: p.Samples, Series: p.Series,
	}
	return send(message)
}

// errCut is that a stream ended before the answer did.
var errCut = errors.New("the answer was cut off")

// collector puts the messages of an answer together.
type collector struct {
	steps   int
	partial federate.Partial
	builder labels.ScratchBuilder
	whole   bool
}

func newCollector(e federate.Evaluation) *collector {
	return &collector{steps: e.Steps(), partial: federate.Partial{Rows: make([][]federate.Row, len(e.Exprs))}, builder: labels.NewScratchBuilder(8)}
}

func (c *collector) add(m *agentv1.EvaluateResponse) error {
	for _, s := range m.GetSeries() {
		if int(s.GetExpr()) >= len(c.partial.Rows) {
			return fmt.Errorf("a series is of expression %d of %d", s.GetExpr(), len(c.partial.Rows))
		}
		row, err := rowFrom(&c.builder, s, c.steps)
		if err != nil {
			return err
		}
		c.partial.Rows[s.GetExpr()] = append(c.partial.Rows[s.GetExpr()], row)
	}
	if s := m.GetSummary(); s != nil {
		c.whole = true
		p := &c.partial
		p.Infos, p.Warnings, p.Shared, p.SharedUnknown = s.GetInfos(), s.GetWarnings(), s.GetShared(), s.GetSharedUnknown()
		p.Samples, p.Series = s.GetSamples(), s.GetSeries()
	}
	return nil
}

func (c *collector) finish() (federate.Partial, error) {
	if !c.whole {
		return federate.Partial{}, errCut
	}
	return c.partial, nil
}
