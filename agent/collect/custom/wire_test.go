package custom

import (
	"bytes"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Messages of protobuf, made by hand: the readers are tested on what was not written by their like.

func message(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func appendVarint(b []byte, v uint64) []byte { return protowire.AppendVarint(b, v) }

func bytesField(number protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), b)
}

func varintField(number protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), v)
}

func zigzagField(number protowire.Number, v int64) []byte {
	return varintField(number, protowire.EncodeZigZag(v))
}

func doubleField(number protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, number, protowire.Fixed64Type), math.Float64bits(v))
}

// packed is a repeated field of numbers in one piece.
func packed(number protowire.Number, values ...uint64) []byte {
	var all []byte
	for _, v := range values {
		all = protowire.AppendVarint(all, v)
	}
	return bytesField(number, all)
}

func packedZigzag(number protowire.Number, values ...int64) []byte {
	var all []byte
	for _, v := range values {
		all = protowire.AppendVarint(all, protowire.EncodeZigZag(v))
	}
	return bytesField(number, all)
}

func packedDoubles(number protowire.Number, values ...float64) []byte {
	var all []byte
	for _, v := range values {
		all = protowire.AppendFixed64(all, math.Float64bits(v))
	}
	return bytesField(number, all)
}
