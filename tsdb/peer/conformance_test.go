package peer

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/query"
)

// childOf names the variable that has the test run the scripts of one engine; without it, it counts what such a run says.
const childOf = "NOVACRON_CONFORMANCE"

// TestConformance runs Prometheus's own scripts, all that its promqltest has built in, and counts the evaluations that
// passed: the «eval» commands of the scripts, each of which is one result of the test framework. The scripts run in a
// process of their own, whose results can be read.
//
// The total is that of the version of Prometheus it is built with: 2,243 evaluations in 21 scripts of v0.315.0, which
// this project uses, and 2,434 in 22 of v0.316.0, which `make conformance` takes by v316.mod. An «eval instant» counts
// once, although promqltest asks it in several ways (with modifiers of time, and as a range): 2,243 are 21,442 queries.
func TestConformance(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(conforming)) {
		t.Run(name, func(t *testing.T) {
			if os.Getenv(childOf) == name {
				runScripts(t, name)
			} else {
				countScripts(t, name)
			}
		})
	}
}

// stand is what scripts run on: an engine, and the storages that it asks.
type stand func(t *testing.T) (promql.QueryEngine, func(testing.TB) storage.Storage)

// conforming are the stands by name: each store alone, and the series scattered over shards, whose raw series are read
// or which compute what they can.
var conforming = map[string]stand{
	"memory": alone("memory"), "durable": alone("durable"), "federated": scattered(true), "federated-raw": scattered(false),
}

func alone(name string) stand {
	return func(t *testing.T) (promql.QueryEngine, func(testing.TB) storage.Storage) {
		return newEngine(t), func(tb testing.TB) storage.Storage { return newShard(engines[name].open(tb, tb.TempDir())) }
	}
}

func newEngine(t testing.TB) *query.Engine {
	e, err := query.New(query.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

func runScripts(t *testing.T, name string) {
	e, newStorage := conforming[name](t)
	promqltest.RunBuiltinTestsWithStorage(t, e, newStorage)
	if alone, is := e.(*query.Engine); is {
		paths := alone.Evaluated()
		t.Logf("paths of the queries: fast=%d promql=%d, of which for histograms=%d", paths.Fast, paths.PromQL, paths.FellBack)
		assert.Greater(t, paths.Fast, int64(1000), "the fast evaluation has a part in this")
	}
}

var verdict = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): TestConformance/[\w-]+/testdata/([\w-]+\.test)/line_(\d+)/`)

var pathsSaid = regexp.MustCompile(`(paths of the queries: .*)`)

func countScripts(t *testing.T, name string) {
	all, err := promqltest.GetBuiltInExprs() // one for each evaluation that the scripts hold
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.count=1", "-test.run=^TestConformance$/^"+name+"$")
	cmd.Env = append(os.Environ(), childOf+"="+name)
	output, _ := cmd.CombinedOutput() // it fails where any evaluation does
	if paths := pathsSaid.FindSubmatch(output); paths != nil {
		t.Log(string(paths[1]))
	}
	passed, ran := map[string]bool{}, map[string]bool{}
	for _, found := range verdict.FindAllSubmatch(output, -1) {
		at := string(found[2]) + ":" + string(found[3])
		assert.False(t, ran[at], "%s was run twice", at)
		ran[at] = true
		if string(found[1]) == "PASS" {
			passed[at] = true
		}
	}
	for at := range ran {
		assert.True(t, passed[at], "%s failed", at)
	}
	assert.Len(t, ran, len(all), "some evaluations did not run")
	t.Logf("conformance promql passed=%d total=%d", len(passed), len(all))
	if t.Failed() {
		t.Logf("the scripts said:\n%s", output[max(0, len(output)-20_000):])
	}
}
