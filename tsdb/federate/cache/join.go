package cache

import "slices"

// join adds an extent to others, which are in order of time: those that it touches become one with it. What is oldest is
// left out where all would take more than most bytes, or one have more than maxSteps. The others are not changed, and
// nothing that is larger is built on the way.
func join(all []Extent, x Extent, step, most int64) []Extent {
	touching, rest := []Extent{}, []Extent{}
	for _, other := range all {
		if other.From > x.To+step || other.To < x.From-step {
			rest = append(rest, other)
			continue
		}
		touching = append(touching, other)
	}
	if len(touching) > 0 {
		x = unite(touching, x, step, most)
	}
	at, _ := slices.BinarySearchFunc(rest, x.From, func(other Extent, from int64) int { return int(min(max(other.From-from, -1), 1)) })
	rest = slices.Insert(rest, at, x)
	bytes := int64(0)
	for _, x := range rest {
		bytes += x.bytes()
	}
	for bytes > most && len(rest) > 1 {
		bytes -= rest[0].bytes()
		rest = rest[1:]
	}
	return rest
}

// unite makes one extent of others and x, all of which touch. Where not one step of all would fit, it is x alone.
func unite(touching []Extent, x Extent, step, most int64) Extent {
	all, from, to := append(touching, x), x.From, x.To
	for _, other := range touching {
		from, to = min(from, other.From), max(to, other.To)
	}
	n := steps(from, to, step)
	if n = min(n, maxSteps, affordable(all, n, most)); n < 1 {
		return x
	}
	whole := Stitch(all, to-int64(n-1)*step, to, step)
	if whole.bytes() > most { // its histograms are not spread evenly
		return x
	}
	return whole
}

// affordable is about how many of n steps extents may have together in so many bytes.
func affordable(all []Extent, n int, most int64) int {
	fixed, perStep, histograms := int64(extentBytes), int64(0), int64(0)
	seen, key := map[string]bool{}, []byte(nil) // with histograms?
	for _, x := range all {
		for _, row := range x.Rows {
			key = row.Labels.Bytes(key[:0])
			had, known := seen[string(key)]
			if !known {
				fixed += rowBytes + int64(row.Labels.ByteSize())
				perStep += 8
			}
			if row.Histograms != nil && !had {
				perStep += 8
			}
			if has := row.Histograms != nil; !known || has && !had {
				seen[string(key)] = has
			}
			histograms += row.histogramBytes()
		}
	}
	if perStep += (histograms + int64(n) - 1) / int64(n); perStep == 0 {
		return n
	}
	return int(min(int64(n), max(0, most-fixed)/perStep))
}
