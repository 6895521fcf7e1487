package durable_test

import (
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine/durable"
)

// workSpeed is how much faster than ours the clock of a process that works on a store is.
const workSpeed = 1500

// ordeal is a store that is worked on by one process after the other, each of which is stopped in the middle of it.
type ordeal struct {
	t      *testing.T
	rng    *rand.Rand
	dir    string
	sync   time.Duration
	now    int64
	ledger *ledger
	// deaf is the time, in nanoseconds, from which on nothing that a process tells counts; 0 is never.
	deaf atomic.Int64
	// rounds, operations and unsure count what was done and what the crashes left open.
	rounds, operations, unsure int
}

func newOrdeal(t *testing.T, dir string, sync time.Duration) *ordeal {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return &ordeal{t: t, rng: rand.New(rand.NewPCG(seed, 0)), dir: dir, sync: sync, now: start.UnixMilli(), ledger: newLedger()}
}

// history is what a process told before its end.
type history struct {
	operations []*operation
	// ended is by operation whether it was acknowledged, and after how many syncs.
	ended   map[*operation]int64
	syncs   int64
	failure string
}

// round lets a process work for a time, stops it, and checks what is left.
func (o *ordeal) round(stop func(*exec.Cmd)) {
	o.now += o.rng.Int64N(20 * 60_000)
	text, err := json.Marshal(order{Dir: o.dir, Seed: o.rng.Uint64(), Now: o.now, Speed: workSpeed, Sync: o.sync, Writers: 3})
	require.NoError(o.t, err)
	reads, writes, err := os.Pipe()
	require.NoError(o.t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workloadVariable+"="+string(text), "GOMAXPROCS=2")
	cmd.ExtraFiles = []*os.File{writes}
	var noise strings.Builder
	cmd.Stderr, cmd.Stdout = &noise, &noise
	began, at := time.Now(), o.now
	require.NoError(o.t, cmd.Start())
	require.NoError(o.t, writes.Close())
	told := make(chan *history, 1)
	working := make(chan struct{})
	o.deaf.Store(0)
	go func() { told <- o.listen(reads, working) }()
	<-working
	time.AfterFunc(time.Duration(50+o.rng.IntN(250))*time.Millisecond, func() { stop(cmd) })
	h := <-told
	_ = cmd.Wait()
	_ = reads.Close()
	// Its upkeep may have dropped what was too old by its clock after the last that it told: the clock was at most here.
	o.now = at + workSpeed*time.Since(began).Milliseconds()
	require.Empty(o.t, h.failure, "round %d: %s", o.rounds, noise.String())
	require.Empty(o.t, noise.String(), "round %d", o.rounds)
	o.rounds++
	o.take(h)
}

// listen reads what a process tells until it is dead. The first report closes working.
func (o *ordeal) listen(r io.Reader, working chan struct{}) *history {
	h := &history{ended: map[*operation]int64{}}
	running := map[int]*operation{}
	in := gob.NewDecoder(r)
	first := true
	for {
		var told report
		err := in.Decode(&told)
		if first {
			close(working)
			first = false
		}
		if err != nil {
			return h
		}
		if deaf := o.deaf.Load(); deaf > 0 && told.At >= deaf && told.Begin == nil {
			continue
		}
		h.syncs = max(h.syncs, told.Syncs)
		switch {
		case told.Failure != "":
			h.failure += told.Failure + "\n"
		case told.Begin != nil:
			running[told.Begin.Writer] = told.Begin
			h.operations = append(h.operations, told.Begin)
		case told.End != nil:
			op := running[told.End.Writer]
			op.leaveOut(told.Refused)
			h.ended[op] = told.Syncs
		}
	}
}

// take enters into the ledger what a process did.
func (o *ordeal) take(h *history) {
	for _, op := range h.operations {
		at, ended := h.ended[op]
		sure := ended && (o.deaf.Load() == 0 || o.sync == 0 || at+2 <= h.syncs)
		o.operations++
		if !sure {
			o.unsure++
		}
		o.ledger.apply(op, sure)
		o.now = max(o.now, op.Now)
	}
}

// check opens the store and holds it against the ledger.
func (o *ordeal) check() {
	opts := crashOptions(func() time.Time { return time.UnixMilli(o.now) }, 0)
	opts.Maintain = -1
	s, err := durable.Open(o.dir, opts)
	require.NoError(o.t, err)
	defer s.Close()
	from := o.now - opts.Retention.Raw.Milliseconds()
	require.NoError(o.t, o.ledger.check(s, from), "after round %d, samples count from %s on", o.rounds, clockOf(from))
	o.ledger.forget(from)
	if o.rng.IntN(4) == 0 {
		require.NoError(o.t, s.Maintain(o.t.Context()))
		require.NoError(o.t, o.ledger.check(s, from), "after the upkeep of round %d", o.rounds)
	}
	require.NoError(o.t, s.Close())
}

// files lists what lies in the store, for a closing line.
func (o *ordeal) files() string {
	segments, _ := filepath.Glob(filepath.Join(o.dir, "log", "*"))
	blocks, _ := filepath.Glob(filepath.Join(o.dir, "blocks", "*"))
	return fmt.Sprintf("%d segments, %d blocks, %d samples in view", len(segments), len(blocks), o.ledger.size())
}

// TestKilledAtAnyMoment kills a process that writes, reads, seals, merges and drops, again and again, and finds every
// sample that it was told is stored, nothing that was deleted, and nothing twice. A kill costs nothing with either
// policy; without waiting for the disk much more happens between two of them.
func TestKilledAtAnyMoment(t *testing.T) {
	for _, sync := range []time.Duration{0, 50 * time.Millisecond} {
		t.Run(fmt.Sprintf("sync %s", sync), func(t *testing.T) { testKills(t, sync) })
	}
}

func testKills(t *testing.T, sync time.Duration) {
	rounds := 100
	if testing.Short() {
		rounds = 5
	}
	o := newOrdeal(t, t.TempDir(), sync)
	// On a busy machine little is done before a kill: there are more of them then.
	enough := 20 * rounds
	for o.rounds < rounds || o.operations <= enough && o.rounds < 10*rounds {
		o.round(func(cmd *exec.Cmd) { require.NoError(t, cmd.Process.Kill()) })
		o.check()
	}
	t.Logf("%d kills, %d operations, %d of them cut off; %s", o.rounds, o.operations, o.unsure, o.files())
	require.Greater(t, o.operations, enough)
}
