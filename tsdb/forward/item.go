package forward

import "github.com/prometheus/prometheus/model/labels"

// item is one thing to send: a float, a histogram or an exemplar.
type item struct {
	series *series
	t, st  int64
	v      float64
	// message is a histogram without its start.
	message []byte
	// example are the labels of an exemplar.
	example    labels.Labels
	isExemplar bool
}

// group is what one request sends of one series: floats or histograms, and exemplars beside them.
type group struct {
	series     *series
	histograms bool
	items      []item
	exemplars  []item
}

// batch is what one request sends.
type batch struct {
	groups []group
	counts
	// bytes is about how long the message is.
	bytes int
}

// counts say how many of what there are.
type counts struct{ floats, histograms, exemplars int64 }

func (c counts) samples() int64 { return c.floats + c.histograms }

// itemBytes is about what a float or an exemplar takes, and what a message has around it.
const itemBytes = 24

func (i item) bytes() int { return itemBytes + len(i.message) + int(i.example.ByteSize()) }

type groupKey struct {
	series     *series
	histograms bool
}

// batches cuts items, in their order, into requests of at most so many of them, and of about so many bytes unless one
// item alone is larger. Exemplars go with what is there of their series in the same request.
func batches(items []item, most, bytes int) (all []batch) {
	for len(items) > 0 {
		one, took := nextBatch(items, most, bytes)
		all, items = append(all, one), items[took:]
	}
	return all
}

func nextBatch(items []item, most, bytes int) (b batch, took int) {
	places := map[groupKey]int{}
	for took < min(len(items), most) {
		one := &items[took]
		key := groupKey{one.series, one.message != nil}
		place, known := places[key]
		if one.isExemplar && !known {
			place, known = places[groupKey{one.series, true}]
		}
		size := one.bytes()
		if !known {
			size += int(one.series.lset.ByteSize())
		}
		if took > 0 && b.bytes+size > bytes {
			break
		}
		if !known {
			place, places[key] = len(b.groups), len(b.groups)
			b.groups = append(b.groups, group{series: one.series, histograms: key.histograms})
		}
		b.put(&b.groups[place], one)
		b.bytes += size
		took++
	}
	return b, took
}

func (b *batch) put(g *group, one *item) {
	switch {
	case one.isExemplar:
		b.exemplars++
		g.exemplars = append(g.exemplars, *one)
		return
	case one.message != nil:
		b.histograms++
	default:
		b.floats++
	}
	g.items = append(g.items, *one)
}

// spread deals items to shards by their series, so that all of one series stay in their order.
func spread(items []item, shards int) [][]item {
	all := make([][]item, shards)
	for _, one := range items {
		i := one.series.hash % uint64(shards)
		all[i] = append(all[i], one)
	}
	return all
}
