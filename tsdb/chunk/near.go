package chunk

import "math"

// A counter that was summed up of decimals, as 0.1+0.2, is off by the errors of all its sums: no decimal gives it bit
// for bit, but one is near, and how many steps of a float64 it is off changes slowly. So both are kept.

const (
	nearSteps  = 1 << 12 // how many steps off is near
	nearDigits = 1 << 36 // and up to which integer that is no accident: above it decimals lie that close anyway
)

// nearExponent is the least exponent under which most of some values, spread over all, are near a decimal; -1 for none.
func nearExponent(vs []float64) int {
	step := max(1, len(vs)/samples)
	var counts [len(powers)]int
	tried := 0
	for i := step / 2; i < len(vs); i += step {
		if regular(vs[i]) {
			tried++
			if e := near(vs[i]); e >= 0 {
				counts[e]++
			}
		}
	}
	found := 0
	for e, count := range counts {
		if found += count; found > 0 && found*8 >= tried*7 {
			return e
		}
	}
	return -1
}

// near is the least exponent under which a value is near a decimal; -1 for none.
func near(v float64) int {
	for e, power := range powers {
		if math.Abs(v)*power > nearDigits {
			break
		}
		if _, steps := toNear(v, power); abs(steps) < nearSteps {
			return e
		}
	}
	return -1
}

// toNear is the integer whose quotient is nearest to the value, and the steps from there to the value.
func toNear(v, power float64) (m, steps int64) {
	m = int64(math.RoundToEven(v * power))
	return m, int64(bitsOf(v) - bitsOf(float64(m)/power))
}

// appendNear appends the form of decimals with steps; nothing when most values are not near any.
func appendNear(dst []byte, vs []float64, s *scratch) []byte {
	e := nearExponent(vs)
	if e < 0 {
		return dst
	}
	s.ints, s.steps = s.ints[:0], s.steps[:0]
	last := int64(0)
	for _, v := range vs {
		m, steps := toNear(v, powers[e])
		if !regular(v) { // any integer will do, with the steps from there
			m, steps = last, int64(bitsOf(v)-bitsOf(float64(last)/powers[e]))
		}
		s.ints, s.steps = append(s.ints, m), append(s.steps, steps)
		last = m
	}
	dst = append(dst, lead(formNear), byte(e))
	dst = appendInts(dst, s.ints, nil, s, true)
	return appendInts(dst, s.steps, nil, s, true)
}

func decodeNear(dst []float64, in *input, n int) []float64 {
	e := int(in.byte())
	if e >= len(powers) {
		in.fail("exponent %d, at most %d", e, len(powers)-1)
		return dst
	}
	r := newIntReader(in, n)
	defer r.close()
	if in.err != nil {
		return dst
	}
	dst, values := grown(dst, n)
	r.quotients(values, e)
	if in.err != nil {
		return dst
	}
	r.close()
	r = newIntReader(in, n)
	var b block
	for got := r.next(&b); got > 0; got = r.next(&b) {
		for i, steps := range b[:got] {
			values[i] = math.Float64frombits(bitsOf(values[i]) + steps)
		}
		values = values[got:]
	}
	return dst
}
