package peer

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/query"
)

// exception is a reason why an engine does not pass some evaluations of the upstream scripts, by script and line.
type exception struct {
	reason string
	script string
	lines  []int
}

// exceptions are all that may fail.
var exceptions = map[string][]exception{
	"durable": {
		{"it does not keep since when a counter counts", "start_timestamps.test", []int{8, 13, 18, 24, 42, 66, 74, 82, 144, 169, 189, 207, 210, 213, 217, 234, 240, 246, 259, 276, 284, 289, 305}},
		{"it does not say that a native histogram goes on without a reset", "native_histograms.test", []int{1747, 1752, 1811, 1816, 1821, 1826, 1880, 1885}},
		{"it does not say that a native histogram goes on without a reset", "range_queries.test", []int{93}},
	},
}

// excepted are the exceptions of an engine as «script:line», with the reason.
func excepted(name string) map[string]string {
	all := map[string]string{}
	for _, e := range exceptions[name] {
		for _, line := range e.lines {
			all[fmt.Sprintf("%s:%d", e.script, line)] = e.reason
		}
	}
	return all
}

// childOf names the variable that has the test run the scripts of one engine; without it, it counts what such a run says.
const childOf = "NOVACRON_CONFORMANCE"

// TestConformance runs Prometheus's own scripts. They run in a process of their own, as a failed evaluation would fail
// this test too although it is a named exception; what is counted are the results that the test framework reports there.
func TestConformance(t *testing.T) {
	for _, name := range []string{"memory", "durable"} {
		t.Run(name, func(t *testing.T) {
			if os.Getenv(childOf) == name {
				runScripts(t, name)
			} else {
				countScripts(t, name)
			}
		})
	}
}

func runScripts(t *testing.T, name string) {
	e, err := query.New(query.Options{})
	require.NoError(t, err)
	defer e.Close()
	promqltest.RunBuiltinTestsWithStorage(t, e, func(tb testing.TB) storage.Storage { return newShard(engines[name].open(tb, tb.TempDir())) })
}

var verdict = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): TestConformance/\w+/testdata/([\w-]+\.test)/line_(\d+)/`)

func countScripts(t *testing.T, name string) {
	all, err := promqltest.GetBuiltInExprs() // one for each evaluation that the scripts hold
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.count=1", "-test.run=^TestConformance$/^"+name+"$")
	cmd.Env = append(os.Environ(), childOf+"="+name)
	output, _ := cmd.CombinedOutput() // it fails where any evaluation does
	passed, ran := map[string]bool{}, map[string]bool{}
	for _, found := range verdict.FindAllSubmatch(output, -1) {
		at := string(found[2]) + ":" + string(found[3])
		assert.False(t, ran[at], "%s was run twice", at)
		ran[at] = true
		if string(found[1]) == "PASS" {
			passed[at] = true
		}
	}
	may := excepted(name)
	for at := range ran {
		reason := may[at]
		assert.True(t, passed[at] || reason != "", "%s failed and is no named exception", at)
		assert.False(t, passed[at] && reason != "", "%s passes: take it from the exceptions", at)
	}
	for _, at := range slices.Sorted(maps.Keys(may)) {
		t.Logf("exception %s: %s", at, may[at])
		assert.True(t, ran[at], "the exception %s is no evaluation", at)
	}
	assert.Len(t, ran, len(all), "some evaluations did not run")
	assert.Len(t, passed, len(all)-len(may))
	t.Logf("conformance promql passed=%d total=%d", len(passed), len(all))
	if t.Failed() {
		t.Logf("the scripts said:\n%s", output[max(0, len(output)-20_000):])
	}
}
