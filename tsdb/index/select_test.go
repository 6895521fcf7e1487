package index

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// endingContext is done after so many looks at it.
type endingContext struct {
	context.Context
	left int
}

func (c *endingContext) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestSelectEndsEarly cancels a selection over many values at each of its looks at the context, in memory and on disk.
func TestSelectEndsEarly(t *testing.T) {
	m := New(Limits{}, time.Now)
	var sets []labels.Labels
	for i := range 5000 {
		lset := labels.FromStrings("a", "x", "i", fmt.Sprintf("%04d", i))
		make1(t, m, "a", "x", "i", fmt.Sprintf("%04d", i))
		sets = append(sets, lset)
	}
	r, err := Open(fileOf(t, t.TempDir(), sets))
	require.NoError(t, err)
	slow := labels.MustNewMatcher(labels.MatchRegexp, "i", ".*7.*|.*[13].*5")
	for name, by := range map[string]selectFunc{"memory": m.Select, "file": r.Select} {
		want, err := by(t.Context(), slow)
		require.NoError(t, err, name)
		require.NotZero(t, want.GetCardinality())
		looks := 0
		for ; ; looks++ {
			found, err := by(&endingContext{t.Context(), looks}, slow)
			if err == nil {
				require.True(t, want.Equals(found), name)
				break
			}
			require.ErrorIs(t, err, context.Canceled, name)
		}
		require.Greater(t, looks, 4, "%s: one look for each thousand values or so", name)
	}
}

// TestLabelsAreCopied holds what the index relies on: labels that are built share no memory with the strings that they
// are built of. Another form of labels, chosen by a build tag, would keep views of texts that are freed later.
func TestLabelsAreCopied(t *testing.T) {
	require.Equal(t, "stringlabels", labels.ImplementationName)
}

// TestPrefixSeesRecentValues asks for a prefix before and after the values of a label are sorted.
func TestPrefixSeesRecentValues(t *testing.T) {
	m := New(Limits{}, time.Now)
	for i := range 5000 {
		make1(t, m, "i", fmt.Sprintf("v%04d", (i*7919)%5000))
		if i%500 != 499 {
			continue
		}
		found, err := m.Select(t.Context(), labels.MustNewMatcher(labels.MatchRegexp, "i", "v1.*"))
		require.NoError(t, err)
		want := 0
		for j := range i + 1 {
			if (j*7919)%5000/1000 == 1 {
				want++
			}
		}
		require.Equal(t, want, int(found.GetCardinality()))
	}
	require.NotEmpty(t, m.dict.names["i"].sorted)
}
