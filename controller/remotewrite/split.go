package remotewrite

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// The messages of remote write, by their versions, and the fields of them that matter here. All others go to every part.
const (
	series1, labels1 = 1, 1
	symbols2         = 4
	series2, labels2 = 5, 1
)

const (
	// maxSymbols bounds the symbols of a request: a reference to one that is not there makes it unreadable.
	maxSymbols = 1 << 20
	// maxShared bounds in bytes what is in all parts: senders have some ten kilobytes of it.
	maxShared = 4 << 20
	// maxPlaced is how many names and values of a series say where it goes: more than any host takes.
	maxPlaced = 128
)

var (
	errBroken = errors.New("the body is no message of remote write")
	errShared = fmt.Errorf("symbols and descriptions take more than %d bytes: send fewer series at once", maxShared)
)

// parts are what hosts get of a request: what is no series, such as symbols and descriptions of metrics, goes to all of
// them, and each has series of its own.
type parts struct {
	shared []byte
	own    []part
}

// part is the series of one host.
type part struct {
	message []byte
	series  int
}

// of is the message of one part. The order of fields means nothing.
func (p parts) of(i int) []byte { return slices.Concat(p.shared, p.own[i].message) }

// split divides a request into n parts by where each of its series goes: place is asked with its labels, in the order of
// the request, names and values in turn.
func split(version int, message []byte, n int, place func(labels []string) int) (parts, error) {
	s := splitter{place: place, parts: parts{own: make([]part, n)}, series: series1, labels: s1Labels}
	if version == 2 {
		symbols, err := symbolsOf(message)
		if err != nil {
			return parts{}, err
		}
		s.series, s.labels = series2, func(series []byte) ([]string, error) { return s2Labels(series, symbols) }
	}
	err := each(message, s.add)
	return s.parts, err
}

// splitter fills parts.
type splitter struct {
	series protowire.Number
	labels func(series []byte) ([]string, error)
	place  func(labels []string) int
	parts  parts
}

func (s *splitter) add(f field) error {
	if f.number != s.series || f.content == nil {
		if len(s.parts.shared)+len(f.whole) > maxShared {
			return errShared
		}
		s.parts.shared = append(s.parts.shared, f.whole...)
		return nil
	}
	labels, err := s.labels(f.content)
	if err != nil {
		return err
	}
	p := &s.parts.own[s.place(labels)]
	p.message = append(p.message, f.whole...)
	p.series++
	return nil
}

// field is one field of a message: all of it, and its content where that has a length.
type field struct {
	number  protowire.Number
	kind    protowire.Type
	whole   []byte
	content []byte
}

// each visits the fields of a message in order. Nothing is copied.
func each(message []byte, visit func(field) error) error {
	for len(message) > 0 {
		number, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return fmt.Errorf("%w: %w", errBroken, protowire.ParseError(tag))
		}
		length := protowire.ConsumeFieldValue(number, kind, message[tag:])
		if length < 0 {
			return fmt.Errorf("%w: field %d: %w", errBroken, number, protowire.ParseError(length))
		}
		f := field{number: number, kind: kind, whole: message[:tag+length]}
		if kind == protowire.BytesType {
			f.content, _ = protowire.ConsumeBytes(message[tag:]) // it was measured above
			if f.content == nil {
				f.content = []byte{}
			}
		}
		if err := visit(f); err != nil {
			return err
		}
		message = message[tag+length:]
	}
	return nil
}

// s1Labels are the first labels of a series of version 1: messages with name and value.
func s1Labels(series []byte) (labels []string, err error) {
	err = each(series, func(f field) error {
		if f.number != labels1 || f.content == nil || len(labels) >= maxPlaced {
			return nil
		}
		pair := [2]string{}
		err := each(f.content, func(f field) error {
			if f.number == 1 || f.number == 2 {
				pair[f.number-1] = string(f.content)
			}
			return nil
		})
		labels = append(labels, pair[:]...)
		return err
	})
	return labels, err
}

// s2Labels are those of version 2: references to symbols, packed or one by one.
func s2Labels(series []byte, symbols []string) (labels []string, err error) {
	add := func(packed []byte) error {
		for len(packed) > 0 && len(labels) < maxPlaced {
			ref, n := protowire.ConsumeVarint(packed)
			switch {
			case n < 0:
				return fmt.Errorf("%w: references to labels: %w", errBroken, protowire.ParseError(n))
			case ref >= uint64(len(symbols)):
				return fmt.Errorf("%w: a label refers to symbol %d of %d", errBroken, ref, len(symbols))
			}
			labels = append(labels, symbols[ref])
			packed = packed[n:]
		}
		return nil
	}
	err = each(series, func(f field) error {
		switch {
		case f.number != labels2:
			return nil
		case f.content != nil:
			return add(f.content)
		case f.kind == protowire.VarintType:
			_, _, tag := protowire.ConsumeTag(f.whole)
			return add(f.whole[tag:])
		}
		return fmt.Errorf("%w: references to labels of the kind %d", errBroken, f.kind)
	})
	return labels, err
}

func symbolsOf(message []byte) (symbols []string, err error) {
	err = each(message, func(f field) error {
		if f.number != symbols2 || f.content == nil {
			return nil
		}
		if len(symbols) == maxSymbols {
			return fmt.Errorf("%w: more than %d symbols: send fewer series at once", errBroken, maxSymbols)
		}
		symbols = append(symbols, string(f.content))
		return nil
	})
	return symbols, err
}
