package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
)

// The fields of protobuf's messages that are taken apart here: a controller gets a row of each series of all shards, and
// most of what it takes to make a message of each is memory for texts that are copied into labels next.
const (
	responseSeries = 1 // of EvaluateResponse

	seriesExpr              = 1 // of EvaluatedSeries
	seriesLabels            = 2
	seriesPresent           = 3
	seriesValues            = 4
	seriesHistogramsPresent = 5
	seriesHistograms        = 6
	seriesPlain             = 7
)

// field is one of a message, and where its value lies in it.
type field struct {
	number    protowire.Number
	kind      protowire.Type
	from, end int
}

// fieldAt is the field that begins at a place.
func fieldAt(message []byte, at int) (f field, err error) {
	number, kind, n := protowire.ConsumeTag(message[at:])
	if n < 0 {
		return f, protowire.ParseError(n)
	}
	at += n
	if kind != protowire.BytesType {
		n = protowire.ConsumeFieldValue(number, kind, message[at:])
		f = field{number, kind, at, at + n}
	} else {
		var value []byte
		value, n = protowire.ConsumeBytes(message[at:])
		f = field{number, kind, at + n - len(value), at + n}
	}
	if n < 0 {
		return f, protowire.ParseError(n)
	}
	return f, nil
}

func (f field) is(number protowire.Number, kind protowire.Type) bool {
	return f.number == number && f.kind == kind
}

// receive takes a message of an answer as it came. Before it is unpacked, hold is told how much memory that may need.
func (c *collector) receive(message []byte, hold func(bytes int64) error) error {
	c.rest, c.rows = c.rest[:0], c.rows[:0]
	size := 0
	for at := 0; at < len(message); {
		f, err := fieldAt(message, at)
		if err != nil {
			return fmt.Errorf("unmarshal a message of an answer: %w", err)
		}
		if f.is(responseSeries, protowire.BytesType) {
			c.rows = append(c.rows, f)
			size += f.end - at
		} else {
			c.rest = append(c.rest, message[at:f.end]...)
		}
		at = f.end
	}
	var others agentv1.EvaluateResponse
	if err := proto.Unmarshal(c.rest, &others); err != nil {
		return fmt.Errorf("unmarshal a message of an answer: %w", err)
	}
	if err := hold(int64(size) + 8*int64(len(c.rows))*int64(c.steps) + c.needs(&others)); err != nil {
		return err
	}
	if err := c.add(&others, len(message)); err != nil {
		return err
	}
	if len(c.partial.Rows) == 1 {
		c.partial.Rows[0] = slices.Grow(c.partial.Rows[0], len(c.rows))
	}
	text := string(message) // labels are copied out of it
	for _, f := range c.rows {
		if err := c.receiveRow(message[f.from:f.end], text[f.from:f.end], hold); err != nil {
			return err
		}
	}
	return nil
}

// receiveRow takes a row, which is given twice.
func (c *collector) receiveRow(message []byte, text string, hold func(bytes int64) error) error {
	s := &c.row
	if !c.readRow(message, text) {
		s = &agentv1.EvaluatedSeries{}
		if err := proto.Unmarshal(message, s); err != nil {
			return fmt.Errorf("unmarshal a series of an answer: %w", err)
		}
		c.pairs = append(c.pairs[:0], s.GetLabels()...)
	}
	if len(s.GetHistograms()) > 0 {
		if err := hold(8*int64(c.steps) + histogramGrowth*int64(len(s.GetHistograms()))); err != nil {
			return err
		}
	}
	return c.take(s, c.pairs)
}

// readRow reads a row as shards write it into the collector's row and pairs, and tells whether it is such a one.
func (c *collector) readRow(message []byte, text string) (usual bool) {
	s := &c.row
	s.Expr, s.Present, s.Values, s.HistogramsPresent, s.Histograms, s.Plain = 0, nil, nil, nil, nil, nil
	c.pairs = c.pairs[:0]
	for at := 0; at < len(message); {
		f, err := fieldAt(message, at)
		if err != nil {
			return false
		}
		value := message[f.from:f.end]
		if at = f.end; f.is(seriesExpr, protowire.VarintType) {
			number, _ := protowire.ConsumeVarint(value)
			s.Expr = uint32(number)
			continue
		}
		if f.kind != protowire.BytesType {
			return false
		}
		switch f.number {
		case seriesLabels:
			if !utf8.Valid(value) {
				return false
			}
			c.pairs = append(c.pairs, text[f.from:f.end])
		case seriesPresent:
			s.Present = value
		case seriesValues:
			s.Values = value
		case seriesHistogramsPresent:
			s.HistogramsPresent = value
		case seriesHistograms:
			s.Histograms = value
		case seriesPlain:
			if s.Plain != nil || len(value)%8 != 0 {
				return false
			}
			s.Plain = floats(value)
		default:
			return false
		}
	}
	return true
}

// floats reads packed doubles.
func floats(packed []byte) []float64 {
	all := make([]float64, len(packed)/8)
	for i := range all {
		all[i] = math.Float64frombits(binary.LittleEndian.Uint64(packed[8*i:]))
	}
	return all
}
