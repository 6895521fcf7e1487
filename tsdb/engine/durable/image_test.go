package durable_test

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine/durable"
)

// closing is a store that random operations are done to, and that is closed and opened again.
type closing struct {
	*testing.T
	rng    *rand.Rand
	crew   *crew
	ledger *ledger
	store  *durable.Store
	n      uint64
}

func newClosing(t *testing.T) *closing {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := &closing{T: t, rng: rand.New(rand.NewPCG(seed, 1)), ledger: newLedger()}
	c.crew = &crew{order: order{Dir: t.TempDir(), Now: start.UnixMilli()}, began: time.Now()}
	c.open()
	return c
}

func (c *closing) options() durable.Options {
	o := crashOptions(c.crew.clock, time.Hour)
	o.Maintain = -1
	return o
}

func (c *closing) open() {
	var err error
	c.store, err = durable.Open(c.crew.Dir, c.options())
	require.NoError(c, err)
}

func (c *closing) close() { require.NoError(c, c.store.Close()) }

func (c *closing) image() string { return filepath.Join(c.crew.Dir, "head.image") }

// work does some operations, some seconds apart.
func (c *closing) work(operations int) {
	for range operations {
		c.crew.Now += c.rng.Int64N(3000)
		op := c.crew.operation(c.rng, c.rng.IntN(3), c.n)
		c.n++
		refused, err := op.do(c.store)
		require.NoError(c, err)
		op.leaveOut(refused)
		c.ledger.apply(op, true)
	}
}

func (c *closing) check(what string) {
	require.NoError(c, c.ledger.check(c.store, start.UnixMilli()-3_600_000), what)
}

// spoilLog writes zeros over all that the log has: whoever reads it finds nothing.
func (c *closing) spoilLog() (undo func()) {
	kept := map[string][]byte{}
	segments, err := filepath.Glob(filepath.Join(c.crew.Dir, "log", "????????????????"))
	require.NoError(c, err)
	for _, segment := range segments {
		content, err := os.ReadFile(segment)
		require.NoError(c, err)
		kept[segment] = content
		require.NoError(c, os.WriteFile(segment, make([]byte, len(content)), 0o600))
	}
	return func() {
		for segment, content := range kept {
			require.NoError(c, os.WriteFile(segment, content, 0o600))
		}
	}
}

// TestImageInsteadOfLog: a store that was closed has everything again although the log is gone, and nothing without the
// image.
func TestImageInsteadOfLog(t *testing.T) {
	c := newClosing(t)
	for round := range 8 {
		c.work(60)
		if round%3 == 2 {
			require.NoError(t, c.store.Maintain(t.Context()))
		}
		c.close()
		undo := c.spoilLog()
		c.open()
		c.check("without the log")
		c.close()
		undo()
		c.open()
		c.check("with both")
	}
	c.close()
	c.spoilLog()
	require.NoError(t, os.Remove(c.image()))
	c.open()
	require.Error(t, c.ledger.check(c.store, start.UnixMilli()-3_600_000), "the test cannot tell where samples come from")
	c.close()
}

// TestImageIsAShortCut damages the image in every way: nothing is lost, as the log has everything.
func TestImageIsAShortCut(t *testing.T) {
	c := newClosing(t)
	c.work(100)
	c.close()
	older, err := os.ReadFile(c.image())
	require.NoError(t, err)
	c.open()
	c.work(100)
	c.close()
	whole, err := os.ReadFile(c.image())
	require.NoError(t, err)
	try := func(what string, image []byte) {
		require.NoError(t, os.WriteFile(c.image(), image, 0o600))
		c.open()
		c.check(what)
		c.close()
	}
	try("the image before", older)
	try("another file", []byte("not an image"))
	try("nothing", nil)
	try("more than that", append(bytes.Clone(whole), 0))
	for range 40 {
		at := c.rng.IntN(len(whole))
		try("cut short", whole[:at])
		bad := bytes.Clone(whole)
		bad[at] ^= 1 << c.rng.IntN(8)
		try("a bit turned", bad)
	}
}

// TestImageAndWhatCameAfter stops a store without closing it, which it was before: what the image has and what was
// logged since add up, deletions included.
func TestImageAndWhatCameAfter(t *testing.T) {
	c := newClosing(t)
	for round := range 10 {
		c.work(40)
		c.close()
		c.open()
		c.work(40)
		if round%4 == 3 { // seals, after which the image is of no use
			require.NoError(t, c.store.Maintain(t.Context()))
		}
		dir := filepath.Join(t.TempDir(), "stopped")
		require.NoError(t, os.CopyFS(dir, os.DirFS(c.crew.Dir)))
		c.close()
		c.crew.Dir = dir
		c.open()
		c.check("after it was stopped")
	}
	c.close()
}

// TestImageGoesWithTheLog: once segments of the log are removed, the image fits no more and takes no room.
func TestImageGoesWithTheLog(t *testing.T) {
	c := newClosing(t)
	c.work(30)
	c.close()
	c.open()
	require.FileExists(t, c.image())
	c.crew.Now += time.Hour.Milliseconds()
	require.NoError(t, c.store.Maintain(t.Context()))
	_, err := os.Stat(c.image())
	require.ErrorIs(t, err, fs.ErrNotExist)
	c.check("after the upkeep")
	c.close()
}
