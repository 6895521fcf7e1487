package chunk

// AppendTimes appends a column of times, in milliseconds or any other unit, in any order. A constant interval takes a
// few bytes; scrapes that lie around a steady beat take the bits of what they are off by. It panics for more than
// MaxSamples.
func AppendTimes(dst []byte, ts []int64) []byte {
	checkCount(len(ts))
	dst = append(dst, lead(0))
	if len(ts) == 0 {
		return dst
	}
	s := borrow()
	defer s.giveBack()
	s.ints = append(s.ints[:0], ts...)
	return appendInts(dst, s.ints, nil, s, false)
}

// DecodeTimes appends the n times of a column to dst. Errors wrap ErrCorrupt; dst is then returned as it came.
func DecodeTimes(dst []int64, src []byte, n int) ([]int64, error) {
	in := open("times", src, n)
	in.form(0)
	out := decodeInts(dst, in, n)
	if err := in.close(); err != nil {
		return dst, err
	}
	return out, nil
}

// decodeInts appends n integers to dst, or fewer when the input fails.
func decodeInts(dst []int64, in *input, n int) []int64 {
	if n == 0 || in.err != nil {
		return dst
	}
	r := newIntReader(in, n)
	defer r.close()
	if in.err != nil {
		return dst
	}
	dst, rest := grown(dst, n)
	var b block
	for got := r.next(&b); got > 0; got = r.next(&b) {
		for i, x := range b[:got] {
			rest[i] = int64(x)
		}
		rest = rest[got:]
	}
	return dst
}
