package bench

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// job is what one process measures: one part of the measurements on one subject.
type job struct {
	Subject, Part string
	Series        int
	PerHost       int
	Scrapes       int // of each host
	Group         int // scrapes that are made, and then stored; one request of VictoriaMetrics holds them
	Upkeep        int // scrapes between two times of upkeep
	Procs         int
	Writers       int
	Rounds        int // of each question
	Suffix        string
	Dir           string
	Turns         bool // it waits for its turn before each round of a question
}

// The parts.
const (
	partShard   = "shard"
	partWriters = "writers"
	partYear    = "year"
	partHead    = "head"
)

var parts = map[string]func(*measuring) error{partShard: measureShard, partWriters: measureWriters, partYear: measureYear, partHead: measureHead}

// figure is what was measured, less is better. Count is how many samples or series the answer had, 0 where there was
// none: subjects whose counts differ were not asked the same.
type figure struct {
	Value float64
	Unit  string
	Count int
}

// report has the figures of one job by metric.
type report map[string]figure

// jobVariable has the test binary do one job, and write a report into the job's folder.
const jobVariable = "NOVACRON_BENCH_JOB"

func TestJob(t *testing.T) {
	text := os.Getenv(jobVariable)
	if text == "" {
		t.Skip("it does a part of TestBench, in a process of its own")
	}
	var j job
	require.NoError(t, json.Unmarshal([]byte(text), &j))
	runtime.GOMAXPROCS(j.Procs)
	r, err := j.do()
	require.NoError(t, err)
	text2, err := json.Marshal(r)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(j.reportFile(), text2, 0o600))
}

func (j *job) reportFile() string { return filepath.Join(j.Dir, "report.json") }

// do does the job in this process.
func (j *job) do() (report, error) {
	const start = 1_672_531_200_000 // 2023-01-01: a year behind it has passed, too
	w := newWorkload(j.Series, j.PerHost, start, 1)
	st, err := subjects[j.Subject](filepath.Join(j.Dir, "data"), w, *j)
	if err != nil {
		return nil, err
	}
	m := &measuring{store: st, j: *j, w: w, fill: newFilling(st, w, *j), report: report{}}
	if err := parts[j.Part](m); err != nil {
		_ = st.close() // the first error tells more
		return nil, err
	}
	return m.report, st.close()
}
