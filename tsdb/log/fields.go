package log

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"
)

// Fields takes a record apart whose values have no lengths but their own. After the first failure it yields zeros and keeps
// the error.
type Fields struct {
	// What names the record in errors, such as "log record"; Src is what is left to read.
	What string
	Src  []byte
	Err  error
}

// Fail keeps the first failure, which tells what is wrong; from then on all is zero.
func (f *Fields) Fail(what string) {
	if f.Err == nil {
		f.Err = fmt.Errorf("%s: %s is cut short or wrong, %d bytes before its end", f.What, what, len(f.Src))
	}
	f.Src = nil
}

// More tells whether there is something left to read.
func (f *Fields) More() bool { return f.Err == nil && len(f.Src) > 0 }

// Octet reads a byte.
func (f *Fields) Octet() byte {
	if len(f.Src) == 0 {
		f.Fail("a byte")
		return 0
	}
	b := f.Src[0]
	f.Src = f.Src[1:]
	return b
}

// Uvarint reads a number.
func (f *Fields) Uvarint() uint64 {
	v, n := binary.Uvarint(f.Src)
	if n <= 0 {
		f.Fail("a number")
		return 0
	}
	f.Src = f.Src[n:]
	return v
}

// Varint reads a number with a sign.
func (f *Fields) Varint() int64 {
	v, n := binary.Varint(f.Src)
	if n <= 0 {
		f.Fail("a number")
		return 0
	}
	f.Src = f.Src[n:]
	return v
}

// Count reads how many of something follow, each of which takes at least size bytes.
func (f *Fields) Count(size int) int {
	n := f.Uvarint()
	if n > uint64(len(f.Src)/size) {
		f.Fail("a count")
		return 0
	}
	return int(n)
}

// ID reads the number of a series.
func (f *Fields) ID() uint32 {
	v := f.Uvarint()
	if v > math.MaxUint32 {
		f.Fail("an id")
		return 0
	}
	return uint32(v)
}

// Bytes reads a text and its length; it is a part of the record.
func (f *Fields) Bytes() []byte {
	n := f.Count(1)
	b := f.Src[:n]
	f.Src = f.Src[n:]
	return b
}

// Float reads eight bytes.
func (f *Fields) Float() float64 {
	if len(f.Src) < 8 {
		f.Fail("a value")
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(f.Src))
	f.Src = f.Src[8:]
	return v
}

// Labels reads pairs of names and values, which are copied.
func (f *Fields) Labels(b *labels.ScratchBuilder) labels.Labels {
	b.Reset()
	for range f.Count(2) {
		name, value := f.Bytes(), f.Bytes()
		b.Add(string(name), string(value))
	}
	return b.Labels()
}
