package index

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// LabelNames lists, sorted, the names of the labels of some series, of all for nil; limit 0 is none.
func (r *Reader) LabelNames(ctx context.Context, limit int, ids *roaring.Bitmap) ([]string, error) {
	found := []string{}
	for place := range r.footer.names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		had, err := had(ids, func() ([]uint32, *roaring.Bitmap, error) { return r.namePosting(place) })
		if err != nil {
			return nil, err
		}
		if !had {
			continue
		}
		name, err := r.name(place)
		if err != nil {
			return nil, err
		}
		if found = append(found, strings.Clone(name)); len(found) == limit {
			break
		}
	}
	return found, nil
}

// had tells whether one of the series, or any for nil, is in a posting.
func had(ids *roaring.Bitmap, posting func() ([]uint32, *roaring.Bitmap, error)) (bool, error) {
	if ids == nil {
		return true, nil
	}
	list, bitmap, err := posting()
	if bitmap != nil {
		return bitmap.Intersects(ids), err
	}
	return slices.ContainsFunc(list, ids.Contains), err
}

// LabelValues lists, sorted, the values that some series, or all for nil, have for a label; limit 0 is none.
func (r *Reader) LabelValues(ctx context.Context, name string, limit int, ids *roaring.Bitmap) ([]string, error) {
	at, found, err := r.findName(name)
	if err != nil || !found {
		return []string{}, err
	}
	from, to, err := r.valuesOf(at)
	if err != nil {
		return nil, err
	}
	if ids != nil && ids.GetCardinality() < uint64(to-from) {
		return r.valuesOfSeries(ctx, at, limit, ids)
	}
	values := []string{}
	for place := from; place < to; place++ {
		if (place-from)%pollEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		had, err := had(ids, func() ([]uint32, *roaring.Bitmap, error) { return r.valuePosting(place) })
		if err != nil {
			return nil, err
		}
		if !had {
			continue
		}
		if values, err = r.appendValue(values, place); err != nil || len(values) == limit {
			return values, err
		}
	}
	return values, nil
}

func (r *Reader) appendValue(values []string, place uint32) ([]string, error) {
	value, err := r.value(place)
	return append(values, strings.Clone(value)), err
}

// valuesOfSeries asks each of few series for its value.
func (r *Reader) valuesOfSeries(ctx context.Context, name uint32, limit int, ids *roaring.Bitmap) ([]string, error) {
	seen := map[uint32]bool{}
	for steps, it := 0, ids.Iterator(); it.HasNext(); steps++ {
		if steps%pollEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		place, has, err := r.valueOf(it.Next(), name, true)
		if err != nil {
			return nil, err
		}
		if has {
			seen[place] = true
		}
	}
	values := []string{}
	var err error
	for _, place := range slices.Sorted(maps.Keys(seen)) {
		if values, err = r.appendValue(values, place); err != nil || len(values) == limit {
			return values, err
		}
	}
	return values, nil
}
