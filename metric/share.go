package metric

import (
	"cmp"
	"slices"
)

// Divide gives each of some hosts its share of a limit, by the series that they have. Half of the limit is divided evenly,
// so that no host is starved by another. Of the rest each gets what it has beyond that and an even share of what is left
// then; where they have more than there is, those that have most are cut to the same number (max-min fairness). The sum
// of all shares is at most the limit, and less only by what does not divide.
func Divide(limit uint64, active []uint64) []uint64 {
	n := uint64(len(active))
	if n == 0 {
		return nil
	}
	even := limit / 2 / n
	rest := limit - even*n
	wants := make([]uint64, n)
	for i, have := range active {
		wants[i] = have - min(have, even)
	}
	given := fill(rest, wants)
	for _, g := range given {
		rest -= g
	}
	for i := range given {
		given[i] += even + rest/n
	}
	return given
}

// fill serves wants out of what there is, the small ones in full first.
func fill(there uint64, wants []uint64) []uint64 {
	order := make([]int, len(wants))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(wants[a], wants[b]) })
	given := make([]uint64, len(wants))
	for served, i := range order {
		given[i] = min(wants[i], there/uint64(len(wants)-served))
		there -= given[i]
	}
	return given
}
