package durable

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// A batch is mostly one scrape: ids follow one another, times are equal, and most values are small whole numbers, whose
// bits end in zeros. A section of packed samples says no more than that, so that little is left to squeeze.

// appendSamples adds a section of packed samples; there is at least one.
func appendSamples(dst []byte, samples []loggedSample) []byte {
	dst = append(dst, sectionPacked)
	dst = binary.AppendUvarint(dst, uint64(len(samples)))
	ids := runs{dst: dst}
	for i := range samples {
		ids.add(int64(samples[i].id))
	}
	times := runs{dst: ids.end()}
	for i := range samples {
		times.add(samples[i].t)
	}
	return appendFloats(times.end(), samples)
}

// runs writes what each number is more than the one before, once for all neighbours of which that is the same: the
// difference as a varint, and how many they are as a uvarint.
type runs struct {
	dst          []byte
	before, step int64
	run          uint64
}

func (r *runs) add(next int64) {
	if next-r.before != r.step {
		r.turn(next)
	}
	r.before = next
	r.run++
}

// turn ends a run.
func (r *runs) turn(next int64) {
	if r.run > 0 {
		r.dst = r.end()
	}
	r.step, r.run = next-r.before, 0
}

// end writes the last run.
func (r *runs) end() []byte { return binary.AppendUvarint(binary.AppendVarint(r.dst, r.step), r.run) }

// appendFloats adds how many bytes of each value are not zeros at its end, two values in a byte, the first one in its
// lower half; and behind them these bytes, highest first.
func appendFloats(dst []byte, samples []loggedSample) []byte {
	n := len(samples)
	lengths := len(dst)
	at := lengths + (n+1)/2
	dst = slices.Grow(dst, at-lengths+8*n)[:at+8*n]
	clear(dst[lengths:at])
	for i := range samples {
		v := math.Float64bits(samples[i].v)
		length := 8 - bits.TrailingZeros64(v)/8
		dst[lengths+i/2] |= byte(length << (i & 1 * 4))
		binary.BigEndian.PutUint64(dst[at:at+8], v) // there is room for all to have eight
		at += length
	}
	return dst[:at]
}

// packed reads a section of packed samples into buf.
func (r *recordReader) packed(buf []loggedSample) []loggedSample {
	n := r.Uvarint()
	if n > min(recordSamples, 2*uint64(len(r.Src))) {
		r.Fail("a count")
		return nil
	}
	buf = slices.Grow(buf[:0], int(n))[:n]
	ids := runReader{in: r, samples: n}
	for i := range buf {
		id := ids.next()
		if id < 0 || id > math.MaxUint32 {
			r.Fail("an id")
			return nil
		}
		buf[i].id = uint32(id)
	}
	times := runReader{in: r, samples: n}
	for i := range buf {
		buf[i].t = times.next()
	}
	r.floats(buf)
	if r.Err != nil {
		return nil
	}
	return buf
}

// runReader reads the runs of so many samples.
type runReader struct {
	in            *recordReader
	samples, left uint64
	number, step  int64
}

func (r *runReader) next() int64 {
	if r.left == 0 {
		r.turn()
	}
	r.left--
	r.number += r.step
	return r.number
}

// turn begins the next run.
func (r *runReader) turn() {
	r.step, r.left = r.in.Varint(), r.in.Uvarint()
	if r.left == 0 || r.left > r.samples {
		r.in.Fail("a run")
		r.left = r.samples // of zeros, until somebody looks
	}
	r.samples -= r.left
}

// floats reads what appendFloats has written.
func (r *recordReader) floats(samples []loggedSample) {
	if r.Err != nil {
		return
	}
	if len(r.Src) < (len(samples)+1)/2 {
		r.Fail("the length of a value")
		return
	}
	lengths, src := r.Src[:(len(samples)+1)/2], r.Src[(len(samples)+1)/2:]
	var room [8]byte
	for i := range samples {
		length := int(lengths[i/2] >> (i & 1 * 4) & 15)
		if length > 8 || length > len(src) {
			r.Fail("a value")
			return
		}
		word := src
		if len(src) < 8 { // there is more behind most values, which does not count
			word = room[:copy(room[:], src)]
			clear(room[len(word):])
			word = room[:]
		}
		v := binary.BigEndian.Uint64(word) &^ (math.MaxUint64 >> (8 * length))
		samples[i].v = math.Float64frombits(v)
		src = src[length:]
	}
	r.Src = src
}
