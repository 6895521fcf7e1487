package collect

import (
	"hash/maphash"
	"math"
	"slices"
	"time"
)

// toldFor is how long points are known: longer than what any source's window has in common with the one before. A point
// that is told again changes nothing, it only costs.
const toldFor = 30 * time.Minute

// told knows which points of gauges have been told, in 8 bytes each.
type told struct {
	seed   maphash.Seed
	series map[uint64][]toldPoint
}

// toldPoint is a point by its time in milliseconds, which repeats after 49 days, and a hash of its value: a change of a
// value is missed once in four billion.
type toldPoint struct{ at, value uint32 }

func newTold() told { return told{seed: maphash.MakeSeed(), series: map[uint64][]toldPoint{}} }

func (t *told) of(key string) uint64 { return maphash.String(t.seed, key) }

func pointOf(p Point) toldPoint {
	bits := math.Float64bits(p.Value) * 0x9e3779b97f4a7c15 // Fibonacci hashing: all bits of the value reach the upper half
	return toldPoint{at: uint32(p.Time.UnixMilli()), value: uint32(bits >> 32)}
}

// has tells whether the last point of its time that was told had the same value.
func (t *told) has(key string, p Point) bool {
	one := pointOf(p)
	known := t.series[t.of(key)]
	i, found := slices.BinarySearchFunc(known, one, compareTold)
	return found && known[i].value == one.value
}

// compareTold puts times in order across the end of their range.
func compareTold(a, b toldPoint) int { return int(int32(a.at - b.at)) }

// add notes points of a series, and forgets those of before a time.
func (t *told) add(key string, points []Point, oldest time.Time) {
	id := t.of(key)
	known := t.series[id]
	next := make([]toldPoint, 0, len(known)+len(points))
	next = append(next, known...)
	for _, p := range points {
		one := pointOf(p)
		i, found := slices.BinarySearchFunc(next, one, compareTold)
		switch {
		case found:
			next[i] = one
		case p.Time.Before(oldest):
		default:
			next = slices.Insert(next, i, one)
		}
	}
	t.series[id] = next
}

// forget drops the points of before a time, and series without points.
func (t *told) forget(oldest time.Time) {
	first := toldPoint{at: uint32(oldest.UnixMilli())}
	for id, points := range t.series {
		i, _ := slices.BinarySearchFunc(points, first, compareTold)
		switch {
		case i == len(points):
			delete(t.series, id)
		case i > 0:
			t.series[id] = slices.Clip(slices.Clone(points[i:]))
		}
	}
}
