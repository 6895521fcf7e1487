package custom

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a message in protobuf.
type field struct {
	number protowire.Number
	kind   protowire.Type
	// bytes are of a text, a message or a packed list; bits are the number of all other kinds.
	bytes []byte
	bits  uint64
}

// errKind is of a field that is of another kind than its number says.
var errKind = errors.New("its kind is another than the message has")

// fields calls visit for each field of a message, in order. Nothing is copied.
func fields(message []byte, visit func(field) error) error {
	for len(message) > 0 {
		f, n, err := next(message)
		if err != nil {
			return err
		}
		message = message[n:]
		if err := visit(f); err != nil {
			return fmt.Errorf("field %d: %w", f.number, err)
		}
	}
	return nil
}

// next reads one field and tells how long it is.
func next(message []byte) (f field, length int, err error) {
	var n int
	f.number, f.kind, length = protowire.ConsumeTag(message)
	if length < 0 {
		return f, 0, protowire.ParseError(length)
	}
	rest := message[length:]
	switch f.kind {
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(rest)
	case protowire.VarintType:
		f.bits, n = protowire.ConsumeVarint(rest)
	case protowire.Fixed64Type:
		f.bits, n = protowire.ConsumeFixed64(rest)
	case protowire.StartGroupType, protowire.EndGroupType, protowire.Fixed32Type:
		n = protowire.ConsumeFieldValue(f.number, f.kind, rest)
	default:
		return f, 0, fmt.Errorf("field %d is of the kind %d, which there is not", f.number, f.kind)
	}
	if n < 0 {
		return f, 0, fmt.Errorf("field %d: %w", f.number, protowire.ParseError(n))
	}
	return f, length + n, nil
}

func (f field) message() ([]byte, error) {
	if f.kind != protowire.BytesType {
		return nil, errKind
	}
	return f.bytes, nil
}

func (f field) integer() (int64, error) {
	if f.kind != protowire.VarintType {
		return 0, errKind
	}
	return int64(f.bits), nil // how protobuf writes negative numbers
}

func (f field) signed() (int64, error) {
	if f.kind != protowire.VarintType {
		return 0, errKind
	}
	return protowire.DecodeZigZag(f.bits), nil
}

func (f field) float() (float64, error) {
	if f.kind != protowire.Fixed64Type {
		return 0, errKind
	}
	return math.Float64frombits(f.bits), nil
}

// varints calls add for each number of a repeated field, which may be packed.
func (f field) varints(add func(uint64) error) error {
	switch f.kind {
	case protowire.VarintType:
		return add(f.bits)
	case protowire.BytesType:
		for rest := f.bytes; len(rest) > 0; {
			v, n := protowire.ConsumeVarint(rest)
			if n < 0 {
				return protowire.ParseError(n)
			}
			if err := add(v); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	}
	return errKind
}

// floats does the same for numbers of 64 bits.
func (f field) floats(add func(float64) error) error {
	switch f.kind {
	case protowire.Fixed64Type:
		return add(math.Float64frombits(f.bits))
	case protowire.BytesType:
		for rest := f.bytes; len(rest) > 0; {
			v, n := protowire.ConsumeFixed64(rest)
			if n < 0 {
				return protowire.ParseError(n)
			}
			if err := add(math.Float64frombits(v)); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	}
	return errKind
}
