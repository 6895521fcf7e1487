package wire

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/federate/explore"
	"github.com/novacron/novacron/tsdb/index"
)

// silent is a shard that does not tell what it has.
type silent struct{ federate.Shard }

func (silent) LabelNames(context.Context, int64, int64, int, ...*labels.Matcher) ([]string, error) {
	return nil, errors.New("no route to it")
}

// TestShardsFarAwayTellWhatTheyHave asks the same of shards behind HTTP and of those here, with one that is missing.
func TestShardsFarAwayTellWhatTheyHave(t *testing.T) {
	now := time.UnixMilli(3_600_000)
	distant, near := members{}, map[string]engine.Engine{}
	for i := range 3 {
		name := fmt.Sprintf("h%d", i)
		shard := newFar(t, name)
		fill(t, shard.store, name, 20+i)
		near[name] = shard.store
		distant = append(distant, federate.Member{Name: name, Shard: shard.client})
	}
	distant = append(distant, federate.Member{Name: "h3", Shard: silent{}})
	fleet := federate.NewFleet(distant, federate.Options{})
	for _, ask := range []explore.Ask{{}, {By: explore.ByLabel, Selector: "g"}, {By: explore.ByPair, Top: 100}, {By: explore.ByHost, Drop: "vm_id"}, {Drop: "host"}} {
		ask.Now, ask.Since = now, time.Hour
		got, err := explore.Explore(t.Context(), fleet.Explore, ask)
		require.NoError(t, err)
		want, err := explore.Explore(t.Context(), func(ctx context.Context, q explore.Question) (*explore.Merger, []string, error) {
			m := explore.NewMerger()
			for name, store := range near {
				r, err := explore.Count(ctx, store, name, q)
				require.NoError(t, err)
				m.Add(name, q, r)
			}
			return m, nil, nil
		}, ask)
		require.NoError(t, err)
		assert.Equal(t, want.Rows, got.Rows)
		assert.Equal(t, want.Total, got.Total)
		assert.Equal(t, want.Findings, got.Findings)
		assert.Contains(t, got.Warnings[0], "1 of 4 hosts did not answer, and their series are missing: h3 (h3: no route to it)")
	}
	overview, err := explore.Stats(t.Context(), fleet.Explore, 2, now)
	require.NoError(t, err)
	assert.Equal(t, uint64(3*(20+21+22)), overview.Series)
	assert.Equal(t, []engine.Count{{Name: "c_total", Count: 63}, {Name: "g", Count: 63}}, overview.ByMetric)
	assert.Equal(t, engine.Count{Name: "vm_id", Count: 22}, overview.ByLabel[0])
	assert.Equal(t, int64(0), overview.Oldest)
	assert.Equal(t, uint64(3+3+22), overview.Values)
	assert.NotEmpty(t, overview.BytesByLabel)

	told, warnings, err := fleet.Describe(t.Context(), "")
	require.NoError(t, err)
	assert.Len(t, warnings, 1)
	assert.Equal(t, map[string][]federate.Description{"g": {{Name: "g", Type: "gauge", Unit: "bytes", Help: "What it is."}}}, told)
	told, _, err = fleet.Describe(t.Context(), "other")
	require.NoError(t, err)
	assert.Empty(t, told)
	_, _, err = fleet.WithComplete(true).Describe(t.Context(), "")
	require.Error(t, err)
}

// TestCountsArriveAsTheyWere sends counts of all kinds, and refuses a sketch that is none.
func TestCountsArriveAsTheyWere(t *testing.T) {
	sketch := index.NewSketch()
	sketch.Add(1 << 60)
	counts := explore.Counts{Series: explore.Distinct{Own: 3, Hashes: []uint64{1, 2}}, Left: explore.Distinct{Sketch: sketch}}
	report := explore.Report{
		Groups: []explore.Group{{By: explore.ByLabel, Name: "a", Now: counts}, {By: explore.ByPair, Name: "a=b", Before: counts}},
		Now:    counts.Series, Before: counts.Left, Cut: map[string]uint64{"pair": 4}, Oldest: 1, Newest: 2, Bytes: map[string]uint64{"a": 5},
	}
	got := explore.Report{}
	last := false
	require.NoError(t, sendReport(report, func(m *agentv1.ExploreResponse) (err error) {
		packed, err := proto.Marshal(m)
		require.NoError(t, err)
		arrived := &agentv1.ExploreResponse{}
		require.NoError(t, proto.Unmarshal(packed, arrived))
		last, err = addReport(&got, arrived)
		return err
	}))
	assert.True(t, last)
	assert.Equal(t, report, got)
	_, err := addReport(&got, &agentv1.ExploreResponse{Groups: []*agentv1.ExploredGroup{{Now: &agentv1.ExploredSpan{Left: &agentv1.DistinctCount{Sketch: []byte{1}}}}}})
	require.ErrorContains(t, err, "sketch")
}

// FuzzReports gives the collector of reports messages of anyone.
func FuzzReports(f *testing.F) {
	seed, err := proto.Marshal(&agentv1.ExploreResponse{
		Groups: []*agentv1.ExploredGroup{{By: "label", Name: "a", Now: &agentv1.ExploredSpan{Values: &agentv1.DistinctCount{Own: 1, Hashes: []uint64{3}}}}},
		Totals: &agentv1.ExploredTotals{Oldest: 1, Newest: 2},
	})
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &agentv1.ExploreResponse{}
		if proto.Unmarshal(data, m) != nil {
			return
		}
		report := explore.Report{}
		if _, err := addReport(&report, m); err != nil {
			return
		}
		merged := explore.NewMerger()
		merged.Add("h", explore.Question{}, report)
		_ = merged.Total()
		for _, by := range []string{explore.ByMetric, explore.ByLabel, explore.ByPair} {
			_, _ = merged.Rows(by)
		}
	})
}

// TestReportsAreHeldWithinBounds has a shard tell more than a query may hold.
func TestReportsAreHeldWithinBounds(t *testing.T) {
	shard := newFar(t, "h")
	fill(t, shard.store, "h", 300)
	fleet := federate.NewFleet(members{{Name: "h", Shard: shard.client}}, federate.Options{MaxBytes: 20_000})
	ask := explore.Ask{By: explore.ByPair, Now: time.UnixMilli(3_600_000)}
	_, err := explore.Explore(t.Context(), fleet.Explore, ask)
	require.ErrorContains(t, err, "query limit bytes")
	fleet = federate.NewFleet(members{{Name: "h", Shard: shard.client}}, federate.Options{})
	_, err = explore.Explore(t.Context(), fleet.Explore, ask)
	require.NoError(t, err)
}
