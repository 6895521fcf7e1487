package chunk

import "math"

// Packing with zstd takes longer than all else. It gains where few numbers are frequent, which it tells by short codes,
// and where stretches come again; whether it does can mostly be seen beforehand.

const (
	// headOfFrame is what a frame takes besides what it packs, and perSymbol what its table says of each symbol.
	headOfFrame, perSymbol = 12, 0.4
	// again is the share of bytes behind ones seen before, in their order, from which on stretches come again.
	again = 0.6
	// looked is the most bytes that are looked at; longer columns are rare, and tried.
	looked = 4096
)

// logs are the logarithms of the smaller counts.
var logs = func() (logs [128]float64) {
	for i := range logs[1:] {
		logs[i+1] = math.Log2(float64(i + 1))
	}
	return logs
}()

func logOf(count uint16) float64 {
	if int(count) < len(logs) {
		return logs[count]
	}
	return math.Log2(float64(count))
}

// promising writes what a model leaves of xs[1:] into the scratch and tells whether a zstd frame of it may take less
// than so many bytes.
func (s *scratch) promising(xs []int64, m model, step int64, most int) bool {
	s.varints(xs, m, step)
	return len(s.bytes) > looked || coded(s.bytes) < float64(most) || repeating(s.bytes)
}

// coded is about how many bytes some bytes take with codes as long as they are rare, but at least a bit.
func coded(src []byte) float64 {
	var counts [256]uint16
	for _, b := range src {
		counts[b]++
	}
	n, size := math.Log2(float64(len(src))), 0.0
	for _, count := range counts {
		if count > 0 {
			size += float64(count)*max(1, n-logOf(count)) + 8*perSymbol
		}
	}
	return headOfFrame + size/8
}

// repeating tells whether most places follow on others that looked the same.
func repeating(src []byte) bool {
	var seen [1 << 10]uint16
	found := 0
	for i := 0; i+4 <= len(src); i++ {
		word := uint32(src[i]) | uint32(src[i+1])<<8 | uint32(src[i+2])<<16 | uint32(src[i+3])<<24
		slot := word * 0x9e3779b1 >> 22
		if at := int(seen[slot]); at > 0 && at+3 <= len(src) && [4]byte(src[at-1:at+3]) == [4]byte(src[i:i+4]) {
			found++
		}
		seen[slot] = uint16(i + 1)
	}
	return float64(found) > again*float64(len(src))
}
