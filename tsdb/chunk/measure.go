package chunk

import "math"

// measure turns values into integers that are near one another where the values are, and back, bit for bit: decimals of
// an exponent, or the values' bits.
type measure byte

// inBits is the measure that takes bits; all others are exponents.
const inBits measure = 0xff

// known tells whether a measure exists.
func (m measure) known() bool { return m == inBits || int(m) < len(powers) }

// measureOf is the measure of the least exponent for all columns, inBits where there is none.
func measureOf(columns ...[]float64) measure {
	e := 0
	for _, vs := range columns {
		for _, v := range vs {
			if !decimal(v, e) {
				if e = exponent(v, e+1); e < 0 {
					return inBits
				}
			}
		}
	}
	if e == 0 {
		return 0
	}
	for _, vs := range columns { // those in front may not have the exponent of those behind
		for _, v := range vs {
			if !decimal(v, e) {
				return inBits
			}
		}
	}
	return measure(e)
}

// decimal tells whether a value is an integer when multiplied by a power of ten, on all processors: conversions of
// numbers beyond 63 bits differ.
func decimal(v float64, e int) bool {
	if !(math.Abs(v)*powers[e] <= 1<<53) {
		return false
	}
	if e == 0 {
		return math.Float64bits(float64(int64(v))) == math.Float64bits(v)
	}
	_, ok := toDecimal(v, powers[e])
	return ok
}

// ints appends the integers of values.
func (m measure) ints(dst []int64, vs []float64) []int64 {
	switch m {
	case inBits:
		for _, v := range vs {
			dst = append(dst, int64(bitsOf(v)))
		}
	case 0:
		for _, v := range vs {
			dst = append(dst, int64(v))
		}
	default:
		power := powers[m]
		for _, v := range vs {
			dst = append(dst, int64(math.RoundToEven(v*power)))
		}
	}
	return dst
}

// values appends the values of integers.
func (m measure) values(dst []float64, ints []int64) []float64 {
	switch m {
	case inBits:
		for _, x := range ints {
			dst = append(dst, math.Float64frombits(uint64(x)))
		}
	case 0:
		for _, x := range ints {
			dst = append(dst, float64(x))
		}
	default:
		power := powers[m]
		for _, x := range ints {
			dst = append(dst, float64(x)/power)
		}
	}
	return dst
}
