package explore

import "github.com/prometheus/prometheus/model/labels"

// A series is known by the sum of the hashes of its labels: what is left without one of them is a subtraction away.
// All machines hash alike.

// hashPair is FNV-1a of 64 bits over name and value, spread by the finaliser of MurmurHash3.
func hashPair(name, value string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * prime
	}
	h = (h ^ 0xff) * prime // is in no UTF-8
	for i := range len(value) {
		h = (h ^ uint64(value[i])) * prime
	}
	return mix(h)
}

func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// hashed are the hashes of a series' labels, in their order, and their sum.
type hashed struct {
	pairs []uint64
	sum   uint64
}

func (h *hashed) of(lset labels.Labels) {
	h.pairs, h.sum = h.pairs[:0], 0
	lset.Range(func(l labels.Label) {
		pair := hashPair(l.Name, l.Value)
		h.pairs = append(h.pairs, pair)
		h.sum += pair
	})
}

// all is the hash of the series, without is that of what is left when a label is dropped.
func (h *hashed) all() uint64                { return mix(h.sum) }
func (h *hashed) without(pair uint64) uint64 { return mix(h.sum - pair) }
