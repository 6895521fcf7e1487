package bench

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scale is how much is measured.
type scale []job

const (
	hourly  = 240  // scrapes
	daily   = 5760 // scrapes
	yearly  = 365 * daily
	perHost = 500
)

// scales: the one of the figures takes about ten minutes, the small one a minute, and the tiny one seconds. The one of a
// million has 600 million samples in memory before the first of them are due on disk: it takes some minutes for each
// subject. The upkeep is due each ten minutes of the samples' time.
var scales = map[string]scale{
	"": {
		{Part: partShard, Series: 10_000, PerHost: perHost, Scrapes: daily, Group: 4, Upkeep: 40, Procs: 1, Rounds: 10},
		{Part: partWriters, Series: 10_000, PerHost: perHost, Scrapes: 6 * hourly, Group: 40, Procs: 2, Writers: 2},
		{Part: partYear, Series: 20, PerHost: 20, Scrapes: yearly, Group: hourly, Upkeep: daily, Procs: 1},
		{Part: partShard, Series: 100_000, PerHost: perHost, Scrapes: 3*hourly + 40, Group: 4, Upkeep: 40, Procs: 1, Rounds: 6, Suffix: "_100k"},
		{Part: partShard, Series: 1_000_000, PerHost: perHost, Scrapes: 40, Group: 1, Upkeep: 40, Procs: 1, Rounds: 3, Suffix: "_1m"},
	},
	"small": {
		{Part: partShard, Series: 10_000, PerHost: perHost, Scrapes: 3*hourly + 40, Group: 4, Upkeep: 40, Procs: 1, Rounds: 5},
		{Part: partWriters, Series: 10_000, PerHost: perHost, Scrapes: hourly, Group: 40, Procs: 2, Writers: 2},
		{Part: partYear, Series: 20, PerHost: 20, Scrapes: 20 * daily, Group: hourly, Upkeep: daily, Procs: 1},
		{Part: partShard, Series: 100_000, PerHost: perHost, Scrapes: 20, Group: 1, Upkeep: 20, Procs: 1, Rounds: 3, Suffix: "_100k"},
	},
	"million": {
		{Part: partHead, Series: 1_000_000, PerHost: perHost, Scrapes: 2*hourly + hourly/2 + 40, Group: 1, Upkeep: 40, Procs: 2, Suffix: "_1m"},
	},
	"tiny": {
		{Part: partShard, Series: 3000, PerHost: perHost, Scrapes: 40, Group: 4, Upkeep: 20, Procs: 1, Rounds: 1},
		{Part: partWriters, Series: 1000, PerHost: perHost, Scrapes: 40, Group: 20, Procs: 2, Writers: 2},
		{Part: partYear, Series: 20, PerHost: 20, Scrapes: daily, Group: hourly, Upkeep: daily, Procs: 1},
		{Part: partHead, Series: 1000, PerHost: perHost, Scrapes: 40, Group: 1, Upkeep: 40, Procs: 1},
	},
}

// TestBenchTSDB prints a line for each metric and peer.
func TestBenchTSDB(t *testing.T) {
	if os.Getenv("NOVACRON_BENCH") != "1" {
		t.Skip("set NOVACRON_BENCH=1 to measure")
	}
	jobs := scales[os.Getenv("NOVACRON_BENCH_SCALE")]
	require.NotEmpty(t, jobs, "NOVACRON_BENCH_SCALE is unset, small, tiny or million")
	fmt.Println("tsdb load at the start:", load())
	defer func() { fmt.Println("tsdb load at the end:", load()) }()
	compare(t, jobs)
}

// TestTiny runs all measurements on next to nothing, so that they go on working.
func TestTiny(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	all := compare(t, scales["tiny"])
	for _, metric := range []string{"ingest_1core", "ingest_2core", "bytes_per_sample", "rss", "select_1x24h", "select_1000x1h_disk", "promql_sum_rate", "rollup_1y", "reopen", "head_rss"} {
		for _, who := range []string{ourName, prometheusName} {
			assert.Positive(t, all[who][metric].Value, "%s of %s", metric, who)
		}
	}
}

// compare does all jobs, one after the other, on each subject.
func compare(t *testing.T, jobs scale) map[string]report {
	who := []string{ourName, prometheusName}
	if path, err := exec.LookPath(victoriaProgram); err == nil {
		who = append(who, victoriaName)
		fmt.Println("tsdb peer", victoriaName, "is", path)
	} else {
		fmt.Println("tsdb skips", victoriaName, "as it is not installed: deploy/setup.sh --bench installs it:", err)
	}
	all := map[string]report{}
	for _, j := range jobs {
		here := inTurns(t, j, who)
		for name, r := range here {
			if all[name] == nil {
				all[name] = report{}
			}
			maps.Copy(all[name], r)
		}
		for _, name := range who[1:] {
			show(t, name, here[ourName], here[name])
		}
	}
	return all
}

// show prints what two subjects both have. Less is better: a ratio above 1 says that ours is.
func show(t *testing.T, peer string, ours, theirs report) {
	for _, metric := range slices.Sorted(maps.Keys(ours)) {
		a, b := ours[metric], theirs[metric]
		if _, both := theirs[metric]; !both {
			if peer == prometheusName {
				fmt.Printf("tsdb %s: ours=%.2f%s\n", metric, a.Value, a.Unit)
			}
			continue
		}
		if peer == prometheusName {
			assert.Equal(t, b.Count, a.Count, "%s answered %s with another number of samples", peer, metric)
		}
		fmt.Printf("bench tsdb %s peer=%s ours=%.2f%s theirs=%.2f%s ratio=%.2f\n", metric, peer, a.Value, a.Unit, b.Value, b.Unit, b.Value/a.Value)
	}
}
