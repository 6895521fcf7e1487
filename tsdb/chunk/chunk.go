// Package chunk packs the times and values of one series for merged blocks, and unpacks them bit for bit.
//
// Codecs are pure: bytes in, values out, no I/O and no state. A chunk keeps its times apart from its values, so that
// series of one scrape share one column of times. FORMAT.md describes every byte.
package chunk

import "errors"

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
)

// MaxSamples is the most samples that one chunk holds. It bounds what a decoder allocates, whatever it is given.
const MaxSamples = 1<<16 - 1

// version is the high half of the first byte of each column.
const version = 1

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
