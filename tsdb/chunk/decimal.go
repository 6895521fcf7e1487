package chunk

import "math"

// powers are the powers of ten that a float64 holds exactly. Dividing an integer below 2^53 by one of them gives the
// float64 nearest to the decimal, which is what reading its text gives: so values that were once written with a few
// decimals come back bit for bit.
var powers = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

const (
	samples  = 8 // values that are looked at first for the exponent of all
	farApart = 4 // a value that needs so many decimals more is better kept aside
)

// toDecimal is the integer that gives the value when divided by the power; ok is false when there is none.
func toDecimal(v, power float64) (m int64, ok bool) {
	m = int64(math.RoundToEven(v * power))
	return m, math.Float64bits(float64(m)/power) == math.Float64bits(v)
}

// exponent is the least exponent, from a given one on, under which the value is an integer; -1 if there is none.
func exponent(v float64, from int) int {
	for e := from; e < len(powers); e++ {
		if math.Abs(v)*powers[e] > 1<<53 && e > 0 {
			break
		}
		if _, ok := toDecimal(v, powers[e]); ok {
			return e
		}
	}
	return -1
}

// regular tells whether a value may be a decimal at all: minus zero, infinities and NaNs are not.
func regular(v float64) bool {
	return math.Abs(v) <= math.MaxFloat64 && (v != 0 || !math.Signbit(v))
}

// decimals turns values into integers of one exponent. Values that are none stand aside: their places are listed,
// and they take the integer of the value before. It is false when too many would.
func decimals(ints []int64, places []uint16, vs []float64) ([]int64, []uint16, int, bool) {
	e := probe(vs)
	if e < 0 {
		return ints, places, 0, false
	}
	patience := len(vs)/16 + 1
	for {
		var need int
		ints, places, need = convert(ints[:0], places[:0], vs, e, patience)
		switch {
		case need == e:
			return ints, places, e, true
		case need < 0:
			return ints, places, 0, false
		}
		e = need
	}
}

// probe is the exponent that some values, spread over all, need; -1 when most of them have none.
func probe(vs []float64) int {
	most, found, tried := 0, 0, 0
	step := max(1, len(vs)/samples)
	for i := step / 2; i < len(vs); i += step {
		if !regular(vs[i]) {
			continue
		}
		tried++
		if e := exponent(vs[i], 0); e >= 0 {
			most = max(most, e)
			found++
		}
	}
	if found*2 < tried {
		return -1
	}
	return most
}

// convert goes on until a value needs another exponent, which it returns: e itself when all went well, -1 when too
// many values have no exponent.
func convert(ints []int64, places []uint16, vs []float64, e, patience int) ([]int64, []uint16, int) {
	power, last := powers[e], int64(0)
	for i, v := range vs {
		m, ok := toDecimal(v, power)
		if !ok {
			if regular(v) {
				need := exponent(v, e+1)
				if need > 0 && need < e+farApart {
					return ints, places, need
				}
				if patience--; patience < 0 {
					return ints, places, need
				}
			}
			places = append(places, uint16(i))
			m = last
		}
		if last = m; len(places) == i { // none but these so far: they take the first one's integer
			hold(ints, m)
		}
		ints = append(ints, m)
	}
	return ints, places, e
}

// hold sets all to one integer.
func hold(ints []int64, m int64) {
	for i := range ints {
		ints[i] = m
	}
}

// fill puts integers that are cheap to pack at the places of values that stand aside: on a line between those beside.
func fill(ints []int64, places []uint16) {
	for len(places) > 0 {
		run := 1
		for run < len(places) && places[run] == places[0]+uint16(run) {
			run++
		}
		from, to := int(places[0]), int(places[0])+run
		before, step := int64(0), int64(0)
		switch {
		case from > 0 && to < len(ints):
			before = ints[from-1]
			step = (ints[to] - before) / int64(run+1)
		case from > 0:
			before = ints[from-1]
		case to < len(ints):
			before = ints[to]
		}
		for i := from; i < to; i++ {
			before += step
			ints[i] = before
		}
		places = places[run:]
	}
}
