package wire

import (
	"fmt"
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/federate"
)

// TestRankedValuesArriveInPieces of bounded size, also those of one step.
func TestRankedValuesArriveInPieces(t *testing.T) {
	for _, within := range [][]uint32{{}, {0, 0, 3}, {1, pieceValues, 2}, {pieceValues + 1}, {5, 3*pieceValues + 7, 0, pieceValues - 1, 1, 1}} {
		t.Run(fmt.Sprint(within), func(t *testing.T) {
			all := federate.Ranked{Labels: labels.FromStrings("zone", "a"), Within: within, Below: make([]uint32, len(within)), Above: make([]uint32, len(within))}
			for i, n := range within {
				all.Below[i], all.Above[i] = uint32(i)+1, uint32(i)+10
				for range n {
					all.Values = append(all.Values, float64(len(all.Values)))
				}
			}
			var builder labels.ScratchBuilder
			below, counts, above, values := make([]uint32, len(within)), make([]uint32, len(within)), make([]uint32, len(within)), []float64{}
			require.NoError(t, rankedTo(2, all, func(m *agentv1.RankedValues) error {
				assert.EqualValues(t, 2, m.GetExpr())
				assert.LessOrEqual(t, len(m.GetValues()), pieceValues)
				piece, err := rankedFrom(&builder, m, len(within))
				require.NoError(t, err)
				assert.Equal(t, all.Labels, piece.Labels)
				for i := range piece.Within {
					below[piece.First+i] += piece.Below[i]
					counts[piece.First+i] += piece.Within[i]
					above[piece.First+i] += piece.Above[i]
				}
				values = append(values, piece.Values...)
				return nil
			}))
			assert.Equal(t, []any{all.Below, all.Within, all.Above, len(all.Values)}, []any{below, counts, above, len(values)})
			for i := range values {
				require.Equal(t, all.Values[i], values[i])
			}
		})
	}
}

// TestRanksArriveAsTheyAre though bounds that are none stay at home.
func TestRanksArriveAsTheyAre(t *testing.T) {
	none, all := math.NaN(), math.Inf(1)
	sent := []*federate.Ranks{
		nil,
		{Labels: []string{"zone"}, First: 3, Bounds: []federate.RankBounds{{Labels: labels.FromStrings("zone", "a"), Low: []float64{1, none}, High: []float64{all, all}}}},
		{Without: true, First: 5, Lowest: true, Bounds: []federate.RankBounds{{Low: []float64{math.Inf(-1), none}, High: []float64{7, all}}, {Labels: labels.FromStrings("a", "b"), Low: []float64{none, none}, High: []float64{all, all}}}},
		{Labels: []string{"zone"}, Bounds: []federate.RankBounds{{Low: []float64{none, none}, High: []float64{all, all}}}},
	}
	messages := ranksTo(sent)
	assert.Nil(t, messages[1].GetBounds()[0].GetHigh())
	assert.Nil(t, messages[2].GetBounds()[1].GetLow())
	assert.False(t, messages[2].GetWanted(), "a shard that does not know of first values gives rows")
	assert.Len(t, messages[3].GetBounds()[0].GetHigh(), 2, "which those who only count expect")
	got, err := ranksFrom(messages, 4, 2)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(texted(sent)), fmt.Sprint(texted(got)))
}

func texted(all []*federate.Ranks) (texts []string) {
	for _, r := range all {
		texts = append(texts, fmt.Sprintf("%+v", r))
	}
	return texts
}

// FuzzRanks never panics, and takes nothing that does not fit together.
func FuzzRanks(f *testing.F) {
	f.Add(uint32(0), uint32(1), uint32(2), uint32(3), 2, 3, 4)
	f.Fuzz(func(t *testing.T, first, below, within, above uint32, counts, values, steps int) {
		counts, values, steps = counts&15, values&63, steps&15
		m := &agentv1.RankedValues{First: first, Labels: []string{"a", "b"}, Values: make([]float64, values)}
		for range counts {
			m.Below, m.Within, m.Above = append(m.Below, below), append(m.Within, within), append(m.Above, above)
		}
		var builder labels.ScratchBuilder
		piece, err := rankedFrom(&builder, m, steps)
		if err == nil {
			assert.LessOrEqual(t, piece.First+len(piece.Within), steps)
			assert.EqualValues(t, len(piece.Values), uint64(within)*uint64(counts))
		}
		for _, wanted := range []bool{true, false} {
			all, err := ranksFrom([]*agentv1.EvaluateRanks{{Wanted: wanted, First: within, Bounds: []*agentv1.RankBounds{{Low: m.Values, High: m.Values}}}}, counts, steps)
			if err == nil && len(all) > 0 && all[0] != nil {
				assert.Len(t, all[0].Bounds[0].Low, steps)
				assert.Len(t, all[0].Bounds[0].High, steps)
				assert.Equal(t, wanted, all[0].First == 0)
			}
		}
	})
}
