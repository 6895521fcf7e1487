package collect

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb"
)

func TestSelect(t *testing.T) {
	batch := func() []Metric {
		return []Metric{
			{Name: "a", Labels: map[string]string{"vm_id": "1"}, Source: "libvirt", Timestamp: clock("12:00:00")},
			{Name: "a", Labels: map[string]string{"vm_id": "22"}, Timestamp: clock("12:01:00")},
			{Name: "b", Labels: map[string]string{"vm_id": "1"}, Timestamp: clock("12:02:00")},
		}
	}
	filter := func(label string, op tsdb.FilterOperator, value string) tsdb.MetricsQuery {
		return tsdb.MetricsQuery{Filters: []tsdb.MetricFilter{{Label: label, Operator: op, Value: value}}}
	}
	for _, c := range []struct {
		query tsdb.MetricsQuery
		want  int
	}{
		{tsdb.MetricsQuery{}, 3},
		{tsdb.MetricsQuery{MetricNames: []string{"a"}}, 2},
		{tsdb.MetricsQuery{Limit: 1}, 1},
		{tsdb.MetricsQuery{TimeRange: tsdb.TimeRange{Start: clock("12:01:00")}}, 2},
		{tsdb.MetricsQuery{TimeRange: tsdb.TimeRange{End: clock("12:01:00")}}, 2},
		{filter("vm_id", tsdb.FilterEqual, "1"), 2},
		{filter("vm_id", tsdb.FilterNotEqual, "1"), 1},
		{filter("vm_id", tsdb.FilterMatches, "2"), 0},
		{filter("vm_id", tsdb.FilterMatches, "2."), 1},
		{filter("vm_id", tsdb.FilterNotMatches, "2."), 2},
		{filter("source", tsdb.FilterEqual, "libvirt"), 1},
	} {
		s, err := Select(c.query)
		require.NoError(t, err)
		require.Len(t, s.Keep(batch()), c.want, "%+v", c.query)
	}
	for says, query := range map[string]tsdb.MetricsQuery{
		"ask the shard for aggregates": {Aggregation: "sum"},
		"1 labels to group by":         {GroupBy: []string{"x"}},
		"use =, !=, =~ or !~":          filter("x", "~", ""),
		"filter of label x":            filter("x", tsdb.FilterMatches, "("),
	} {
		_, err := Select(query)
		require.ErrorContains(t, err, says)
	}
}

func TestEndedSeriesGetOneMarker(t *testing.T) {
	metric := func(vm string) Metric {
		return Metric{Name: "vm_vcpus", Labels: map[string]string{"vm_id": vm}, Source: "libvirt", Value: 1, Timestamp: clock("12:00:00")}
	}
	all := func(Metric) bool { return true }
	p := &Presence{}
	require.Empty(t, p.Ended([]Metric{metric("1"), metric("2"), metric("3")}, clock("12:00:00"), all))
	stuck := func(m Metric) bool { return m.Labels["vm_id"] != "3" }
	ended := p.Ended([]Metric{metric("1")}, clock("12:00:15"), stuck)
	require.Len(t, ended, 1, "2 is gone; 3 did not answer")
	require.Equal(t, "2", ended[0].Labels["vm_id"])
	require.True(t, IsStale(ended[0].Value))
	require.Equal(t, clock("12:00:15"), ended[0].Timestamp)
	require.Equal(t, 2, p.Len())
	require.Empty(t, p.Ended([]Metric{metric("1"), metric("3")}, clock("12:00:30"), all), "once")
	require.Len(t, p.Ended(nil, clock("12:00:45"), all), 2)
	require.False(t, IsStale(math.NaN()))
	require.False(t, IsStale(0))
}
