package fault

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
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
	r, died, told := New(), 0, strings.Builder{}
	r.die, r.out = func() { died++ }, &told
	r.Arm("a", Exit)
	require.NoError(t, r.Point(t.Context(), "a"))
	require.Equal(t, 1, died)
	require.Equal(t, Announcement+"a=exit\n", told.String())
}

func TestASubjectIsStruckAlone(t *testing.T) {
	r, err := Parse("a#web-1=error@2,b=error")
	require.NoError(t, err)
	require.NoError(t, r.Check([]string{"a", "b"}))
	one, other := On(t.Context(), "web-1"), On(t.Context(), "web-2")
	require.NoError(t, r.Point(t.Context(), "a"))
	require.NoError(t, r.Point(other, "a"))
	require.NoError(t, r.Point(one, "a"))
	require.NoError(t, r.Point(other, "a"))
	require.ErrorContains(t, r.Point(one, "a"), "at a#web-1")
	require.ErrorContains(t, r.Point(one, "b"), "at b")
}

const childPoint = "NOVACRON_TEST_FREEZE"

// TestAFrozenProcessGoesOn has this test's own program freeze, and wakes it.
func TestAFrozenProcessGoesOn(t *testing.T) {
	if os.Getenv(childPoint) != "" {
		r := New()
		r.Arm("a", Freeze)
		require.NoError(t, r.Point(On(t.Context(), "x"), "a"))
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAFrozenProcessGoesOn$")
	child.Env = append(os.Environ(), childPoint+"=1")
	told, err := child.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line, err := bufio.NewReader(told).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, Announcement+"a=freeze\n", line)
	require.Eventually(t, func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child.Process.Pid))
		return err == nil && bytes.Contains(status, []byte(") T "))
	}, time.Minute, time.Millisecond)
	require.NoError(t, child.Process.Signal(syscall.SIGCONT))
	require.NoError(t, child.Wait())
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
