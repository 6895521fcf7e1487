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
	"github.com/novacron/novacron/tsdb/query"
)

// absent stands for no value.
var absent = query.Absent

// rowTo packs a row, values that do not pack well only if they must be.
func rowTo(expr int, row federate.Row, plain bool) *agentv1.EvaluatedSeries {
	s := &agentv1.EvaluatedSeries{Expr: uint32(expr), Labels: labelsTo(row.Labels)}
	values := row.Values
	if s.Present = bits(len(values), func(i int) bool { return !value.IsStaleNaN(row.Values[i]) }); s.Present != nil {
		values = slices.DeleteFunc(slices.Clone(values), value.IsStaleNaN)
	}
	if plain && irregular(values) {
		s.Plain = values
	} else {
		s.Values = chunk.AppendValues(nil, values)
	}
	if row.Histograms != nil {
		s.HistogramsPresent = bits(len(row.Histograms), func(i int) bool { return row.Histograms[i] != nil })
		there := slices.DeleteFunc(slices.Clone(row.Histograms), func(h *histogram.FloatHistogram) bool { return h == nil })
		s.Histograms = chunk.AppendFloatHistograms(nil, there)
	}
	return s
}

// irregularBits are the last bits of a number's mantissa. Those of whole numbers and of such with few decimals vary little
// from one to the next, in what is left of rates and averages anything can be.
const irregularBits = 1<<20 - 1

// irregular tells whether values are such that packing saves little of them, and takes long to find it out: most of a few
// have last bits that are neither zero nor those of the one before.
func irregular(values []float64) bool {
	const looked = 8
	if len(values) < looked {
		return true // there is nothing to save
	}
	odd, last := 0, uint64(0)
	for i := range looked {
		now := math.Float64bits(values[i*(len(values)-1)/(looked-1)]) & irregularBits
		if now != 0 && now != last {
			odd++
		}
		last = now
	}
	return odd > looked/2
}

// bits has one for each step, the first lowest; it is empty where all are set.
func bits(n int, set func(int) bool) []byte {
	var packed []byte
	for i := range n {
		switch {
		case packed == nil && set(i):
		case packed == nil:
			packed = make([]byte, (n+7)/8)
			for before := range i {
				packed[before/8] |= 1 << (before % 8)
			}
		case set(i):
			packed[i/8] |= 1 << (i % 8)
		}
	}
	return packed
}

// stepsOf are the places that bits have set.
func stepsOf(packed []byte, n int) ([]int, error) {
	if err := checkBits(packed, n); err != nil {
		return nil, err
	}
	steps := make([]int, 0, n)
	for i := range n {
		if len(packed) == 0 || packed[i/8]&(1<<(i%8)) != 0 {
			steps = append(steps, i)
		}
	}
	return steps, nil
}

// rowFrom unpacks a row of a number of steps, whose labels are given beside it.
func rowFrom(builder *labels.ScratchBuilder, s *agentv1.EvaluatedSeries, pairs []string, n int) (row federate.Row, err error) {
	if row.Labels, err = labelsFrom(builder, pairs); err != nil {
		return row, err
	}
	if row.Values, err = valuesFrom(s, n); err != nil {
		return row, err
	}
	if len(s.GetHistograms()) > 0 {
		row.Histograms, err = histogramsFrom(s, n)
	}
	return row, err
}

func valuesFrom(s *agentv1.EvaluatedSeries, n int) ([]float64, error) {
	packed := s.GetPresent()
	if len(packed) == 0 {
		return unpacked(s, n)
	}
	if err := checkBits(packed, n); err != nil {
		return nil, err
	}
	there := 0
	for i := range n {
		there += int(packed[i/8] >> (i % 8) & 1)
	}
	values, err := unpacked(s, there)
	if err != nil {
		return nil, err
	}
	all, next := make([]float64, n), 0
	for i := range all {
		if packed[i/8]>>(i%8)&1 == 0 {
			all[i] = absent
			continue
		}
		all[i] = values[next]
		next++
	}
	return all, nil
}

// checkBits refuses bits of another number of steps.
func checkBits(packed []byte, n int) error {
	if len(packed) != 0 && len(packed) != (n+7)/8 {
		return fmt.Errorf("a series has %d bytes of bits for %d steps", len(packed), n)
	}
	return nil
}

// unpacked are the values that a series has.
func unpacked(s *agentv1.EvaluatedSeries, n int) ([]float64, error) {
	switch plain := s.GetPlain(); {
	case n == 0 && len(plain)+len(s.GetValues()) == 0:
		return nil, nil
	case len(plain) == 0:
		values, err := chunk.DecodeValues(make([]float64, 0, n), s.GetValues(), n)
		if err != nil {
			return nil, fmt.Errorf("values of a series: %w", err)
		}
		return values, nil
	case len(plain) != n || len(s.GetValues()) > 0:
		return nil, fmt.Errorf("a series has %d plain values and %d bytes of packed ones for %d steps", len(plain), len(s.GetValues()), n)
	default:
		return plain, nil
	}
}

func histogramsFrom(s *agentv1.EvaluatedSeries, n int) ([]*histogram.FloatHistogram, error) {
	steps, err := stepsOf(s.GetHistogramsPresent(), n)
	if err != nil {
		return nil, err
	}
	there, err := chunk.DecodeFloatHistograms(nil, s.GetHistograms(), len(steps))
	if err == nil {
		err = checkShapes(there)
	}
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
	n := 8*len(s.GetPlain()) + len(s.GetValues()) + len(s.GetHistograms()) + len(s.GetPresent()) + 16
	for _, text := range s.GetLabels() {
		n += len(text) + 2
	}
	return n
}

// sendRows packs an answer into messages of bounded size.
func sendRows(p federate.Partial, plain bool, send func(*agentv1.EvaluateResponse) error) error {
	message, size := &agentv1.EvaluateResponse{}, 0
	for expr, rows := range p.Rows {
		for _, row := range rows {
			packed := rowTo(expr, row, plain)
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
	for expr, of := range p.Ranked {
		for _, r := range of {
			err := rankedTo(expr, r, func(packed *agentv1.RankedValues) error {
				message.Ranked = append(message.Ranked, packed)
				if size += rankedBytes(packed); size < messageBytes {
					return nil
				}
				full := message
				message, size = &agentv1.EvaluateResponse{}, 0
				return send(full)
			})
			if err != nil {
				return err
			}
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

	// What receive uses again: what is no series, where the series are, and one of them with its labels.
	rest  []byte
	rows  []field
	row   agentv1.EvaluatedSeries
	pairs []string
}

func newCollector(e federate.Evaluation) *collector {
	p := federate.Partial{Rows: make([][]federate.Row, len(e.Exprs))}
	if e.Ranks != nil {
		p.Ranked = make([][]federate.Ranked, len(e.Exprs))
	}
	return &collector{steps: e.Steps(), partial: p, builder: labels.NewScratchBuilder(8)}
}

// histogramGrowth is about how many bytes a byte of packed histograms becomes.
const histogramGrowth = 8

// needs is about what the rows of a message take in memory, once they are unpacked: a few bytes can be many steps.
func (c *collector) needs(m *agentv1.EvaluateResponse) int64 {
	bytes := int64(8 * len(m.GetSummary().GetShared()))
	for _, r := range m.GetRanked() {
		bytes += int64(rankedBytes(r))
	}
	for _, s := range m.GetSeries() {
		bytes += int64(rowBytes(s)) + 8*int64(c.steps)
		if len(s.GetHistograms()) > 0 {
			bytes += 8*int64(c.steps) + histogramGrowth*int64(len(s.GetHistograms()))
		}
	}
	return bytes
}

// add takes a message, which had so many bytes on its way. Its texts and plain values are kept, where they are: the message
// may be reset, but what it points to must not be written to.
func (c *collector) add(m *agentv1.EvaluateResponse, size int) error {
	c.partial.Bytes += int64(size)
	for _, s := range m.GetSeries() {
		if err := c.take(s, s.GetLabels()); err != nil {
			return err
		}
	}
	for _, packed := range m.GetRanked() {
		if int(packed.GetExpr()) >= len(c.partial.Ranked) {
			return fmt.Errorf("ranked values are of expression %d of %d", packed.GetExpr(), len(c.partial.Ranked))
		}
		r, err := rankedFrom(&c.builder, packed, c.steps)
		if err != nil {
			return err
		}
		c.partial.Ranked[packed.GetExpr()] = append(c.partial.Ranked[packed.GetExpr()], r)
	}
	if s := m.GetSummary(); s != nil {
		c.whole = true
		p := &c.partial
		p.Infos, p.Warnings, p.Shared, p.SharedUnknown = s.GetInfos(), s.GetWarnings(), s.GetShared(), s.GetSharedUnknown()
		p.Samples, p.Series = s.GetSamples(), s.GetSeries()
	}
	return nil
}

// take adds a row, whose labels are given beside it.
func (c *collector) take(s *agentv1.EvaluatedSeries, pairs []string) error {
	if int(s.GetExpr()) >= len(c.partial.Rows) {
		return fmt.Errorf("a series is of expression %d of %d", s.GetExpr(), len(c.partial.Rows))
	}
	row, err := rowFrom(&c.builder, s, pairs, c.steps)
	if err != nil {
		return err
	}
	c.partial.Rows[s.GetExpr()] = append(c.partial.Rows[s.GetExpr()], row)
	return nil
}

func (c *collector) finish() (federate.Partial, error) {
	if !c.whole {
		return federate.Partial{}, errCut
	}
	return c.partial, nil
}
