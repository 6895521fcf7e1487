package chunk

import (
	"encoding/binary"

	"github.com/prometheus/prometheus/model/value"
)

// How the bits of a value that stands aside are told.
const (
	oddStale  = iota // a stale marker
	oddNaN           // the NaN of PromQL
	oddRepeat        // as the odd value before
	oddBits          // eight bytes
)

// appendOdd appends the values that stand aside: their number, and for each how far it is from the one before, and
// its bits.
func appendOdd(dst []byte, vs []float64, places []uint16) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(places)))
	next, last := 0, uint64(0)
	for _, place := range places {
		b := bitsOf(vs[place])
		kind := oddKind(b, last)
		dst = binary.AppendUvarint(dst, uint64(int(place)-next)<<2|kind)
		if kind == oddBits {
			dst = binary.LittleEndian.AppendUint64(dst, b)
		}
		next, last = int(place)+1, b
	}
	return dst
}

func oddKind(b, last uint64) uint64 {
	switch b {
	case value.StaleNaN:
		return oddStale
	case value.NormalNaN:
		return oddNaN
	case last:
		return oddRepeat
	}
	return oddBits
}

// odd is a value that stands aside.
type odd struct {
	place int
	bits  uint64
}

// readOdd reads what appendOdd has written for n values; there is at least a byte of input for each.
func readOdd(in *input, n int) []odd {
	odds := make([]odd, 0, min(in.count("values aside", n), len(in.b)))
	next, last := 0, uint64(0)
	for range cap(odds) {
		u := in.uvarint()
		if u>>2 >= uint64(n-next) {
			in.fail("a value aside %d after place %d of %d", u>>2, next, n)
			return nil
		}
		switch u & 3 {
		case oddStale:
			last = value.StaleNaN
		case oddNaN:
			last = value.NormalNaN
		case oddBits:
			last = in.uint64()
		}
		next += int(u >> 2)
		odds = append(odds, odd{next, last})
		next++
	}
	return odds
}
