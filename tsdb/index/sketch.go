package index

import (
	"math"
	"math/bits"
)

// sketch estimates how many different hashes it was given, with a standard error of 1.2 %: HyperLogLog (Flajolet,
// Fusy, Gandouet, Meunier 2007) with the estimator of Ertl (2017, «New cardinality estimation algorithms for
// HyperLogLog sketches»), which needs no corrections from tables.
type sketch []uint8

const sketchBits = 13

func newSketch() sketch { return make(sketch, 1<<sketchBits) }

// add counts a hash whose bits are evenly spread.
func (s sketch) add(hash uint64) {
	rank := uint8(bits.LeadingZeros64(hash<<sketchBits|1<<(sketchBits-1)) + 1)
	if at := hash >> (64 - sketchBits); s[at] < rank {
		s[at] = rank
	}
}

// merge adds all that another sketch has seen.
func (s sketch) merge(other sketch) {
	for i, rank := range other {
		s[i] = max(s[i], rank)
	}
}

func (s sketch) estimate() uint64 {
	const most = 64 - sketchBits // the largest rank is one more
	var counts [most + 2]float64 // of the registers by rank
	for _, rank := range s {
		counts[rank]++
	}
	m := float64(len(s))
	sum := m * tau(1-counts[most+1]/m)
	for rank := most; rank >= 1; rank-- {
		sum = (sum + counts[rank]) / 2
	}
	sum += m * sigma(counts[0]/m)
	return uint64(math.Round(m / (2 * math.Ln2) * m / sum))
}

// sigma corrects for registers that saw nothing: x + Σ x^(2^k) 2^(k-1).
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	sum, weight, before := x, 1.0, math.NaN()
	for sum != before {
		x *= x
		before, sum = sum, sum+x*weight
		weight *= 2
	}
	return sum
}

// tau corrects for registers that can count no further: (1 - x - Σ (1 - x^(2^-k))² 2^-k) / 3.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	sum, weight, before := 1-x, 1.0, math.NaN()
	for sum != before {
		x = math.Sqrt(x)
		weight /= 2
		before, sum = sum, sum-(1-x)*(1-x)*weight
	}
	return sum / 3
}

// mixed spreads a number over 64 bits, each to another one (the last step of SplitMix64).
func mixed(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
