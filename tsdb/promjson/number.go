package promjson

import (
	"math"
	"strconv"
)

// AppendNumber adds a value as digits, the fewest that tell it: what JSON has as a number but for NaN and infinity.
func AppendNumber(b []byte, v float64) []byte {
	abs := math.Abs(v)
	if abs >= 1e-6 && abs < shortBelow {
		if digits, decimals, is := short(abs); is {
			if v < 0 {
				b = append(b, '-')
			}
			return appendDecimal(b, digits, decimals)
		}
	}
	form := byte('f')
	if abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		form = 'e'
	}
	return strconv.AppendFloat(b, v, form, -1, 64)
}

// shortDigits is how many digits are told apart by every number: no two decimals of so many give the same one. So where a
// decimal of no more gives a number, it is the shortest that does.
const (
	shortDigits = 15
	shortBelow  = 1e15
)

// powers of ten, which are exact.
var powers = [shortDigits + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// short is a number as digits divided by a power of ten, without zeros at the end of the decimals, where so few digits do.
func short(v float64) (digits uint64, decimals int, is bool) {
	if digits = uint64(v); float64(digits) == v {
		return digits, 0, true
	}
	decimals = shortDigits - wholeDigits(digits)
	// The quotient of two numbers that are exact is rounded as the decimal would be when it is read.
	if digits = uint64(v*powers[decimals] + 0.5); float64(digits)/powers[decimals] != v {
		return 0, 0, false
	}
	for decimals > 4 && digits%10_000 == 0 {
		digits, decimals = digits/10_000, decimals-4
	}
	for digits%10 == 0 {
		digits, decimals = digits/10, decimals-1
	}
	return digits, decimals, true
}

// wholeDigits is how many digits a whole number has; 0 has none.
func wholeDigits(n uint64) (count int) {
	for ; n >= 10_000; n /= 10_000 {
		count += 4
	}
	for ; n > 0; n /= 10 {
		count++
	}
	return count
}

// pairs are the numbers from 00 to 99.
const pairs = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"

// appendDecimal adds digits with a point before the last of them.
func appendDecimal(b []byte, digits uint64, decimals int) []byte {
	if decimals == 0 {
		return strconv.AppendUint(b, digits, 10)
	}
	power := uint64(powers[decimals])
	whole, part := digits/power, digits%power
	b = append(strconv.AppendUint(b, whole, 10), '.')
	at := len(b) + decimals
	b = append(b, "000000000000000"[:decimals]...)
	for ; part >= 10; part /= 100 {
		pair := part % 100 * 2
		b[at-2], b[at-1] = pairs[pair], pairs[pair+1]
		at -= 2
	}
	if part > 0 {
		b[at-1] = byte('0' + part)
	}
	return b
}
