package index

import (
	"context"
	"math"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// Select returns the ordinals of the series that all matchers match, by the same rules as Mem.Select. The bitmap is
// the caller's.
func (r *Reader) Select(ctx context.Context, matchers ...*labels.Matcher) (*roaring.Bitmap, error) {
	return evaluate(ctx, fileSource{r}, matchers)
}

type fileSource struct{ *Reader }

var _ source = fileSource{}

func (r fileSource) every() (*roaring.Bitmap, error) {
	all := roaring.New()
	all.AddRange(0, uint64(r.footer.series))
	return all, nil
}

func (r fileSource) having(name string) (*roaring.Bitmap, error) {
	var g gather
	place, found, err := r.findName(name)
	if err == nil && found {
		err = r.gather(&g, r.nameRef(place))
	}
	return g.bitmap(), err
}

// gather adds the ids that a reference leads to.
func (r *Reader) gather(g *gather, ref uint64) error {
	if ref&1 == 1 && ref>>1 < uint64(r.footer.series) { // most values have one series
		g.add(uint32(ref >> 1))
		return nil
	}
	list, bitmap, err := r.posting(ref)
	if bitmap != nil {
		g.addBitmap(bitmap)
	}
	g.add(list...)
	return err
}

func (r fileSource) equal(ctx context.Context, name string, values []string) (*roaring.Bitmap, error) {
	var g gather
	err := r.eachValue(ctx, name, values, func(place uint32) error { return r.gather(&g, r.valueRef(place)) })
	return g.bitmap(), err
}

// eachValue calls f with the places of those of some values that a label has.
func (r fileSource) eachValue(ctx context.Context, name string, values []string, f func(place uint32) error) error {
	at, found, err := r.findName(name)
	if err != nil || !found {
		return err
	}
	for i, value := range values {
		if i%pollEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		place, found, err := r.findValue(at, value)
		if err == nil && found {
			err = f(place)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r fileSource) union(ctx context.Context, name, prefix string, fits func(string) bool) (*roaring.Bitmap, error) {
	var g gather
	at, found, err := r.findName(name)
	if err != nil || !found {
		return g.bitmap(), err
	}
	_, to, err := r.valuesOf(at)
	if err != nil {
		return nil, err
	}
	from, _, err := r.findValue(at, prefix)
	if err != nil {
		return nil, err
	}
	for place := from; place < to; place++ {
		if (place-from)%pollEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		value, err := r.value(place)
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(value, prefix) {
			break
		}
		if fits(value) {
			if err := r.gather(&g, r.valueRef(place)); err != nil {
				return nil, err
			}
		}
	}
	return g.bitmap(), nil
}

func (r fileSource) filter(ctx context.Context, ids *roaring.Bitmap, name string, fits func(string) bool) (*roaring.Bitmap, error) {
	at, there, err := r.findName(name)
	if err != nil {
		return nil, err
	}
	var g gather
	missing, known := fits(""), map[uint32]bool{}
	for steps, it := 0, ids.Iterator(); it.HasNext(); steps++ {
		if steps%pollEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		id := it.Next()
		place, has, err := r.valueOf(id, at, there)
		if err != nil {
			return nil, err
		}
		fit, asked := known[place]
		switch {
		case !has:
			fit = missing
		case !asked:
			value, err := r.value(place)
			if err != nil {
				return nil, err
			}
			fit = fits(value)
			known[place] = fit
		}
		if fit {
			g.add(id)
		}
	}
	return g.bitmap(), nil
}

// valueOf is the place of a series's value for a name.
func (r *Reader) valueOf(ordinal, name uint32, there bool) (place uint32, has bool, err error) {
	if !there {
		return 0, false, nil
	}
	record, err := r.record(ordinal)
	if err != nil {
		return 0, false, err
	}
	pairs := r.pairsOf(record)
	for pairs.next() {
		if pairs.name >= name {
			return pairs.value, pairs.name == name, nil
		}
	}
	return 0, false, pairs.err
}

func (r fileSource) count(name string, values []string) (all, series int, err error) {
	at, found, err := r.findName(name)
	if err != nil || !found {
		return 0, 0, err
	}
	from, to, err := r.valuesOf(at)
	if err != nil {
		return 0, 0, err
	}
	if values == nil {
		series, err = r.size(r.nameRef(at))
		return int(to - from), series, err
	}
	err = r.eachValue(context.Background(), name, values, func(place uint32) error {
		n, err := r.size(r.valueRef(place))
		series += n
		return err
	})
	return int(to - from), min(series, math.MaxInt32), err
}

// size is how many ids a posting has, by its own account.
func (r *Reader) size(ref uint64) (int, error) {
	if ref&1 == 1 {
		return 1, nil
	}
	n, _, _, err := r.postingBody(ref >> 1)
	return int(n), err
}
