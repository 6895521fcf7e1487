package federate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/query"
)

// TestRowsAreBoundedWithTheirLabels: a series of one value takes many times that, and there may be too many whatever they
// take.
func TestRowsAreBoundedWithTheirLabels(t *testing.T) {
	merge := func(rows int, o Options) error {
		m := newMerger([]Part{{Exprs: []string{"up"}, Merge: Union}}, nil, 1, o.withDefaults())
		var all []Row
		for n := range rows {
			all = append(all, Row{Labels: labels.FromStrings("a", fmt.Sprintf("%04d", n), "long", strings.Repeat("x", 1000)), Values: []float64{1}})
		}
		return m.take(Member{Name: "h"}, Partial{Rows: [][]Row{all}})
	}
	var limit *query.LimitError
	require.NoError(t, merge(80, Options{MaxCells: 100 * 250}))
	require.ErrorAs(t, merge(110, Options{MaxCells: 100 * 250}), &limit)
	assert.Equal(t, "bytes", limit.Limit)
	require.NoError(t, merge(90, Options{MaxSeries: 100}))
	require.ErrorAs(t, merge(110, Options{MaxSeries: 100}), &limit)
	assert.Equal(t, "series", limit.Limit)
}
