package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Subjects fill their stores one after the other, and then answer in turns, one round of a question each: what else the
// machine has to do comes and goes, and so it meets all of them alike.

// running is a job in a process of its own.
type running struct {
	job
	cmd    *exec.Cmd
	output bytes.Buffer
	begin  io.WriteCloser // a byte for each turn
	came   *os.File       // a byte when the next turn may begin; it ends with the job
	ended  bool
}

// startJob starts a job, which is then about to wait for its first turn, or at its end.
func startJob(t *testing.T, j job) *running {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("NOVACRON_BENCH_DIR"), "bench-tsdb-")
	require.NoError(t, err)
	j.Dir, j.Turns = dir, true
	text, err := json.Marshal(j)
	require.NoError(t, err)
	r := &running{job: j, cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestJob$", "-test.timeout=40m")}
	r.cmd.Env = append(os.Environ(), fmt.Sprint(jobVariable, "=", string(text)))
	r.cmd.Stdout, r.cmd.Stderr = &r.output, &r.output
	r.begin, err = r.cmd.StdinPipe()
	require.NoError(t, err)
	came, end, err := os.Pipe()
	require.NoError(t, err)
	r.came, r.cmd.ExtraFiles = came, []*os.File{end}
	require.NoError(t, r.cmd.Start())
	require.NoError(t, end.Close())
	r.await()
	return r
}

// await lets the job go on up to its next turn.
func (r *running) await() {
	var one [1]byte
	n, _ := r.came.Read(one[:])
	r.ended = n == 0
}

// takeTurn lets the job do one round.
func (r *running) takeTurn() {
	if _, err := r.begin.Write([]byte{0}); err != nil {
		r.ended = true
		return
	}
	r.await()
}

// report is what a job that has ended has measured.
func (r *running) report(t *testing.T) report {
	t.Helper()
	defer func() { require.NoError(t, os.RemoveAll(r.Dir)) }()
	require.NoError(t, r.came.Close())
	err := r.cmd.Wait()
	require.NoError(t, err, "%s of %s: %s", r.Part, r.Subject, r.output.Bytes())
	text, err := os.ReadFile(r.reportFile())
	require.NoError(t, err)
	got := report{}
	require.NoError(t, json.Unmarshal(text, &got))
	return got
}

// inTurns does a job on each subject.
func inTurns(t *testing.T, j job, subjects []string) map[string]report {
	t.Helper()
	var all []*running
	for _, name := range subjects {
		j.Subject = name
		all = append(all, startJob(t, j))
	}
	for going := true; going; {
		going = false
		for _, r := range all {
			if !r.ended {
				r.takeTurn()
				going = true
			}
		}
	}
	reports := map[string]report{}
	for i, r := range all {
		reports[subjects[i]] = r.report(t)
	}
	return reports
}

// came is where a job says that its next turn may begin: the first of the ExtraFiles. The file stays open.
var came = sync.OnceValue(func() *os.File { return os.NewFile(3, "turns") })

// awaitTurn is the job's side of it.
func (j *job) awaitTurn() error {
	if !j.Turns {
		return nil
	}
	if _, err := came().Write([]byte{0}); err != nil {
		return err
	}
	_, err := os.Stdin.Read(make([]byte, 1))
	return err
}
