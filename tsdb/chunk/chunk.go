// Package chunk packs the times and values of one series for merged blocks, and unpacks them bit for bit.
//
// Codecs are pure: bytes in, values out, no I/O and no state. A chunk keeps its times apart from its values, so that
// series of one scrape share one column of times. FORMAT.md describes every byte.
package chunk

import (
	"encoding/binary"
	"errors"
)

// Kind names what a chunk holds. It is stored beside the chunk, by whoever keeps it.
type Kind byte

// The kinds of chunks.
const (
	// KindXOR is a chunk as the head writes it, times and values in one stream.
	KindXOR Kind = 1 + iota
	// KindDense is a column of values of AppendValues, with its times of AppendTimes elsewhere.
	KindDense
	// KindHistogram is a column of AppendHistograms.
	KindHistogram
	// KindFloatHistogram is a column of AppendFloatHistograms.
	KindFloatHistogram
	// KindWindows are the columns of AppendWindows.
	KindWindows
	// KindDenseStarts, KindHistogramStarts and KindFloatHistogramStarts are as those without starts, behind what
	// AppendStarts writes.
	KindDenseStarts
	KindHistogramStarts
	KindFloatHistogramStarts
)

// LastKind is the greatest kind that this version knows.
const LastKind = KindFloatHistogramStarts

// HasStarts tells whether start times stand in front of the samples.
func (k Kind) HasStarts() bool { return k >= KindDenseStarts && k <= KindFloatHistogramStarts }

// IsDense tells whether the column of times stands elsewhere.
func (k Kind) IsDense() bool { return k == KindDense || k == KindDenseStarts }

// Plain is the kind of the samples behind the start times, if there are any.
func (k Kind) Plain() Kind {
	if k.HasStarts() {
		return plainOf[k-KindDenseStarts]
	}
	return k
}

// WithStarts is the kind of the same samples with start times in front; ok is false where there is none.
func (k Kind) WithStarts() (with Kind, ok bool) {
	for i, plain := range plainOf {
		if k == plain {
			return KindDenseStarts + Kind(i), true
		}
	}
	return k, false
}

// plainOf are the kinds without start times, in the order of those with them.
var plainOf = [...]Kind{KindDense, KindHistogram, KindFloatHistogram}

// MaxSamples is the most samples that one chunk holds. It bounds what a decoder allocates, whatever it is given.
const MaxSamples = 1<<16 - 1

// The version is the high half of the first byte of each column.
const (
	version = 1
	// versionSparse is that of a column with sparse blocks anywhere in it.
	versionSparse = 2
)

// ErrCorrupt is wrapped by every error of a decoder: the bytes are not what an encoder wrote.
var ErrCorrupt = errors.New("corrupt chunk")

// checkCount stops a caller that asks for what no decoder would read.
func checkCount(n int) {
	if n > MaxSamples {
		panic("chunk: more than MaxSamples in one chunk: split them")
	}
}

// lead is the first byte of a column: the version of the format and the form of what follows.
func lead(form byte) byte { return version<<4 | form }

// markSparse gives a column the version that says that there are sparse blocks in it.
func markSparse(column []byte) { column[0] = versionSparse<<4 | column[0]&15 }

func isSparse(column []byte) bool { return len(column) > 0 && column[0]>>4 == versionSparse }

// Sparse tells whether a chunk of a kind has columns of the second version.
func Sparse(kind Kind, src []byte) bool {
	if kind == KindXOR {
		return false
	}
	if kind.HasStarts() {
		size, n := binary.Uvarint(src)
		if n <= 0 || size > uint64(len(src)-n) {
			return false
		}
		src = src[uint64(n)+size:]
	}
	return isSparse(src)
}
