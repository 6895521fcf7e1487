package fault

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNilRegistryHasNoPoints(t *testing.T) {
	var r *Registry
	require.NoError(t, r.Point(t.Context(), "a"))
	require.NoError(t, r.Check(nil))
}

func TestErrorFiresUntilDisarmed(t *testing.T) {
	r := New()
	r.Arm("a", Error)
	require.ErrorIs(t, r.Point(t.Context(), "a"), ErrInjected)
	require.ErrorContains(t, r.Point(t.Context(), "a"), "at a")
	require.NoError(t, r.Point(t.Context(), "b"))
	require.Equal(t, 2, r.Hits("a"))
	r.Disarm("a")
	require.NoError(t, r.Point(t.Context(), "a"))
}

func TestHitPicksOnePassage(t *testing.T) {
	r, err := Parse("a=error@2")
	require.NoError(t, err)
	require.NoError(t, r.Point(t.Context(), "a"))
	require.Error(t, r.Point(t.Context(), "a"))
	require.NoError(t, r.Point(t.Context(), "a"))
}

func TestExitEndsTheProcess(t *testing.T) {
	r, died := New(), 0
	r.die = func() { died++ }
	r.Arm("a", Exit)
	require.NoError(t, r.Point(t.Context(), "a"))
	require.Equal(t, 1, died)
}

func TestHangLastsAsLongAsTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, start := New(), time.Now()
		r.Arm("a", Hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, r.Point(ctx, "a"), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
	})
}

func TestParseRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, text := range []string{"a", "=error", "a=explode", "a=error@0", "a=error@x", "a=error,"} {
		_, err := Parse(text)
		require.ErrorContains(t, err, Environment, text)
	}
	r, err := Parse("  ")
	require.NoError(t, err)
	require.Nil(t, r)
}

func TestCheckNamesAnUnknownPoint(t *testing.T) {
	r, err := Parse("a=hang, b=exit")
	require.NoError(t, err)
	require.NoError(t, r.Check([]string{"a", "b", "c"}))
	require.ErrorContains(t, r.Check([]string{"a"}), `no point "b"`)
}
