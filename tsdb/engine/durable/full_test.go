package durable_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
)

// smallDisk mounts a file system of some bytes in memory, or skips the test.
func smallDisk(t *testing.T, bytes int) string {
	if os.Geteuid() != 0 {
		t.Skip("a full disk is made on a file system of its own, which only root can mount")
	}
	dir := t.TempDir()
	if err := said(exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", bytes), "none", dir).CombinedOutput()); err != nil {
		t.Skipf("no small file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, said(exec.Command("umount", dir).CombinedOutput())) })
	return dir
}

// ballast fills a file system until some pages are left; 0 fills it as far as it goes.
func ballast(t *testing.T, dir string, pages int) {
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "ballast")))
	var s unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &s))
	file, err := os.Create(filepath.Join(dir, "ballast"))
	require.NoError(t, err)
	defer file.Close()
	if take := (int64(s.Bavail) - int64(pages)) * s.Bsize; take > 0 {
		require.NoError(t, unix.Fallocate(int(file.Fd()), 0, 0, take))
	}
}

// station is a store on a small disk, written by one writer, and what has to be in it.
type station struct {
	*testing.T
	root   string
	store  *durable.Store
	now    time.Time
	ledger *ledger
	n      uint64
}

func newStation(t *testing.T, bytes int) *station {
	st := &station{T: t, root: smallDisk(t, bytes), now: start, ledger: newLedger()}
	opts := crashOptions(func() time.Time { return st.now }, 0)
	opts.Maintain = -1
	opts.Retention = durable.Retention{Keep: durable.Keep{Raw: 30 * 24 * time.Hour}}
	var err error
	st.store, err = durable.Open(filepath.Join(st.root, "store"), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.store.Close()) })
	return st
}

// scrape writes a sample of every series at the present time.
func (st *station) scrape(series int) error {
	op := &operation{Now: st.now.UnixMilli()}
	for i := range series {
		st.n++
		op.Samples = append(op.Samples, written{fmt.Sprintf("m%d", i), i, op.Now, stored{'f', st.n * 0x9E3779B97F4A7C15}})
	}
	refused, err := op.do(st.store)
	if err == nil {
		require.Empty(st, refused)
		st.ledger.apply(op, true)
	}
	return err
}

func (st *station) check(what string) {
	require.NoError(st, st.ledger.check(st.store, 0), what)
}

// files are the names of everything in the store, for seeing what a failure leaves.
func (st *station) files() (names []string) {
	require.NoError(st, filepath.WalkDir(filepath.Join(st.root, "store", "blocks"), func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	}))
	return names
}

// TestDiskFull fills a disk by writing: batches are refused as a whole, reads go on, and with room all goes on.
func TestDiskFull(t *testing.T) {
	st := newStation(t, 1<<20)
	ballast(t, st.root, 30)
	for {
		st.now = st.now.Add(time.Second)
		err := st.scrape(50)
		if err == nil {
			continue
		}
		require.ErrorIs(t, err, engine.ErrDiskFull)
		break
	}
	require.NotZero(t, st.ledger.size())
	st.check("full")
	for range 5 {
		st.now = st.now.Add(time.Second)
		require.ErrorIs(t, st.scrape(50), engine.ErrDiskFull)
	}
	st.check("still full")
	require.NoError(t, os.Remove(filepath.Join(st.root, "ballast")))
	st.now = st.now.Add(time.Second)
	require.NoError(t, st.scrape(50))
	st.check("with room")
	st.reopen()
	st.check("opened again")
}

func (st *station) reopen() {
	require.NoError(st, st.store.Close())
	opts := crashOptions(func() time.Time { return st.now }, 0)
	opts.Maintain = -1
	var err error
	st.store, err = durable.Open(filepath.Join(st.root, "store"), opts)
	require.NoError(st, err)
}

// TestUpkeepOnAFullDisk leaves the upkeep one page more room each time, so that it fails at every one of its steps.
// Each time all is as before, nothing is left behind, and it goes on once there is room.
func TestUpkeepOnAFullDisk(t *testing.T) {
	st := newStation(t, 8<<20)
	failures, rooms := map[string]int{}, 0
	for pages := 0; pages < 60; pages += 1 + pages/20 {
		ballastOff(st)
		for range 8 * 60 / 5 { // some spans, so that there is something to merge, and windows once in a while
			st.now = st.now.Add(5 * time.Second)
			require.NoError(t, st.scrape(20))
		}
		if pages%3 == 0 {
			st.now = st.now.Add(6 * time.Hour)
			require.NoError(t, st.scrape(20))
		}
		for round := 0; ; round++ {
			ballast(t, st.root, pages+round)
			err := st.store.Maintain(t.Context())
			st.check(fmt.Sprintf("upkeep with %d pages left: %v", pages+round, err))
			for _, name := range st.files() {
				require.False(t, strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".gone"), name)
			}
			if err == nil {
				break
			}
			require.True(t, errors.Is(err, unix.ENOSPC) || errors.Is(err, engine.ErrDiskFull), "%v", err)
			failures[stepOf(err)]++
			rooms++
		}
	}
	ballastOff(st)
	require.NoError(t, st.store.Maintain(t.Context()))
	st.check("with room")
	t.Logf("%d failures: %v; %d samples", rooms, failures, st.ledger.size())
	require.Len(t, failures, 3, "sealing, merging and making windows have failed")
	st.reopen()
	st.check("opened again")
}

func ballastOff(st *station) { require.NoError(st, os.RemoveAll(filepath.Join(st.root, "ballast"))) }

// stepOf is what an error says before the first name or number.
func stepOf(err error) string {
	text := strings.SplitN(err.Error(), "\n", 2)[0]
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text[:min(len(text), 16)])
}

// TestBudgetFreesAFullDisk: what the disk budget drops is the room that writes need.
func TestBudgetFreesAFullDisk(t *testing.T) {
	dir := smallDisk(t, 1<<20)
	now := start
	opts := crashOptions(func() time.Time { return now }, 0)
	opts.Maintain, opts.Retention = -1, durable.Retention{Bytes: 300 << 10}
	s, err := durable.Open(filepath.Join(dir, "store"), opts)
	require.NoError(t, err)
	defer s.Close()
	refused := 0
	for i := range 3000 {
		now = now.Add(5 * time.Second)
		op := &operation{}
		for slot := range 50 {
			op.Samples = append(op.Samples, written{fmt.Sprintf("m%d", slot), slot, now.UnixMilli(), stored{'f', uint64(i*50+slot) * 0x9E3779B97F4A7C15}})
		}
		if _, err := op.do(s); err != nil {
			require.ErrorIs(t, err, engine.ErrDiskFull)
			refused++
		}
		if i%20 == 19 {
			_ = s.Maintain(t.Context())
		}
	}
	_, err = (&operation{Samples: []written{{"m0", 0, now.UnixMilli(), stored{'f', 1}}}}).do(s)
	require.NoError(t, err)
	t.Logf("%d of 3000 batches were refused", refused)
	require.Less(t, refused, 300)
}
