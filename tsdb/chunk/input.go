package chunk

import (
	"encoding/binary"
	"fmt"
)

// input reads bytes from front to back. The first error stays, and from then on everything reads as zero.
type input struct {
	what string // names the column in errors
	b    []byte // what is left
	size int    // what there was at first
	err  error
}

// open starts reading a column of n samples.
func open(what string, src []byte, n int) *input {
	in := &input{what: what, b: src, size: len(src)}
	if n < 0 || n > MaxSamples {
		in.fail("%d samples asked for, a chunk has 0 to %d", n, MaxSamples)
	}
	return in
}

// fail keeps the first error, and where it was.
func (in *input) fail(format string, args ...any) {
	if in.err == nil {
		in.err = fmt.Errorf("%w: %s at byte %d of %d: %s", ErrCorrupt, in.what, in.size-len(in.b), in.size, fmt.Sprintf(format, args...))
		in.b = nil
	}
}

// close complains of bytes that nobody has asked for.
func (in *input) close() error {
	if len(in.b) > 0 {
		in.fail("%d bytes are left over", len(in.b))
	}
	return in.err
}

// form reads the first byte of a column.
func (in *input) form(most byte) byte {
	b := in.byte()
	if v := b >> 4; in.err == nil && (v < version || v > versionSparse) {
		in.fail("version %d, known are %d to %d", v, version, versionSparse)
	}
	if in.err == nil && b&15 > most {
		in.fail("form %d, known are 0 to %d", b&15, most)
	}
	if in.err != nil {
		return 0
	}
	return b & 15
}

func (in *input) byte() byte {
	if len(in.b) == 0 {
		in.fail("a byte is missing")
		return 0
	}
	b := in.b[0]
	in.b = in.b[1:]
	return b
}

// take reads n bytes; nil after an error.
func (in *input) take(n uint64) []byte {
	if n > uint64(len(in.b)) {
		in.fail("%d bytes are missing of %d", n-uint64(len(in.b)), n)
		return nil
	}
	b := in.b[:n]
	in.b = in.b[n:]
	return b
}

func (in *input) uint64() uint64 {
	if b := in.take(8); len(b) == 8 {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (in *input) uvarint() uint64 {
	x, n := binary.Uvarint(in.b)
	if n <= 0 {
		in.fail("a number is cut off or longer than 64 bits")
		return 0
	}
	in.b = in.b[n:]
	return x
}

func (in *input) varint() int64 { return unzigzag(in.uvarint()) }

// count reads a number that must not be more than a limit.
func (in *input) count(what string, most int) int {
	n := in.uvarint()
	if n > uint64(most) {
		in.fail("%d %s, at most %d", n, what, most)
		return 0
	}
	return int(n)
}

// zigzag folds small numbers of both signs into small numbers.
func zigzag(x int64) uint64 { return uint64(x)<<1 ^ uint64(x>>63) }

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

func appendVarint(dst []byte, x int64) []byte { return binary.AppendUvarint(dst, zigzag(x)) }
