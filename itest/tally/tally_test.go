package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func count(t *testing.T, events ...event) (*tally, string) {
	t.Helper()
	var in, out bytes.Buffer
	for _, e := range events {
		require.NoError(t, json.NewEncoder(&in).Encode(e))
	}
	c := newTally(&out)
	_, err := c.read(&in)
	require.NoError(t, err)
	c.close()
	return c, out.String()
}

func TestCounts(t *testing.T) {
	const p = "github.com/novacron/novacron/vm"
	c, out := count(t,
		event{Action: "run", Package: p, Test: "A"}, event{Action: "output", Package: p, Test: "A", Output: "noise\n"},
		event{Action: "pass", Package: p, Test: "A"},
		event{Action: "output", Package: p, Test: "B", Output: "    b_test.go:1: no KVM\n"}, event{Action: "skip", Package: p, Test: "B"},
		event{Action: "pass", Package: p, Elapsed: 1.25})
	assert.False(t, c.failedPackages())
	assert.Equal(t, "skip  ./vm B: b_test.go:1: no KVM\nok    ./vm 1.2s\n1 passed, 0 failed, 1 skipped\n", out)
}

func TestShowsFailures(t *testing.T) {
	c, out := count(t, event{Action: "output", Package: "p", Test: "A", Output: "why\n"},
		event{Action: "fail", Package: "p", Test: "A"}, event{Action: "fail", Package: "p"})
	assert.True(t, c.failedPackages())
	assert.Equal(t, "FAIL  p A\nwhy\nFAIL  p 0.0s\n0 passed, 1 failed, 0 skipped\n", out)
}

// TestCountsWhatNoTestOwnedUpTo is about panics and builds that fail: their package fails, but none of its tests.
func TestCountsWhatNoTestOwnedUpTo(t *testing.T) {
	c, out := count(t, event{Action: "output", Package: "p", Test: "A", Output: "panic: x\n"},
		event{Action: "build-output", ImportPath: "q", Output: "q.go:1: bad\n"},
		event{Action: "fail", Package: "p"}, event{Action: "fail", Package: "q"})
	assert.True(t, c.failedPackages())
	assert.Contains(t, out, "panic: x\n")
	assert.Contains(t, out, "q.go:1: bad\n")
	assert.Contains(t, out, "0 passed, 2 failed, 0 skipped\n")
}

// TestPackagesThatRunTwice: the second time counts like the first.
func TestPackagesThatRunTwice(t *testing.T) {
	_, out := count(t, event{Action: "fail", Package: "p", Test: "A"}, event{Action: "fail", Package: "p"},
		event{Action: "output", Package: "p", Output: "panic: x\n"}, event{Action: "fail", Package: "p"})
	assert.Contains(t, out, "panic: x\n")
	assert.Contains(t, out, "0 passed, 2 failed, 0 skipped\n")
}

func TestRunOfGoThatCannotStartFails(t *testing.T) {
	var out bytes.Buffer
	assert.False(t, run(t.Context(), []string{"-no-such-flag"}, &out))
	assert.Contains(t, out.String(), "0 passed")
}

func TestRowsRunBesideEachOther(t *testing.T) {
	var out bytes.Buffer
	assert.True(t, run(t.Context(), []string{"-run", "^TestCounts$", ".", "--", "-run", "^TestSplitsRuns$", ".", "++", "-run", "^TestShowsFailures$", "."}, &out))
	assert.Contains(t, out.String(), "3 passed, 0 failed, 0 skipped")
	out.Reset()
	assert.False(t, run(t.Context(), []string{"-run", "^TestCounts$", ".", "++", "-no-such-flag"}, &out))
	assert.Contains(t, out.String(), "1 passed, 1 failed, 0 skipped")
	out.Reset()
	assert.False(t, run(t.Context(), []string{"./no-such-folder", "--", "-C", "no-such-folder", "."}, &out))
	assert.Contains(t, out.String(), "go test [-C no-such-folder .]", "told although a package of another group had failed")
}

func TestSplitsRuns(t *testing.T) {
	assert.Equal(t, [][]string{{"-race", "./a"}, {"./b"}}, split([]string{"-race", "./a", "--", "./b"}, "--"))
}

func TestOtherModulesComeFirst(t *testing.T) {
	assert.Equal(t, []string{"test", "-json", "-race", "./a"}, command([]string{"-race", "./a"}))
	assert.Equal(t, []string{"test", "-C", "x", "-json", "./..."}, command([]string{"-C", "x", "./..."}))
}
