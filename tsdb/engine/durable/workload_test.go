package durable_test

import (
	"context"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
)

// workloadVariable makes the test binary a process that writes, reads and maintains a store until it is killed. It
// holds an order as JSON.
const workloadVariable = "NOVACRON_TEST_WORKLOAD"

// order says what the process works on.
type order struct {
	Dir  string
	Seed uint64
	// Now is the clock's first time in milliseconds; it runs Speed times as fast as real time.
	Now, Speed int64
	Sync       time.Duration
	Writers    int
}

// report is what the process tells, in order of each writer.
type report struct {
	// Begin comes before an operation, End after it was acknowledged; Refused are the samples that were not taken.
	Begin, End *operation
	Refused    []int
	// Syncs is how often the log was synced: an operation that ended at n is in stable storage once n+2 is told.
	Syncs   int64
	Failure string
	// At is when it was told, in nanoseconds since 1970.
	At int64
}

func TestMain(m *testing.M) {
	if text := os.Getenv(workloadVariable); text != "" {
		var o order
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			panic(err)
		}
		o.work(os.NewFile(3, "reports"))
		select {} // until it is killed
	}
	m.Run()
}

// crashOptions have everything happen often: a span is a minute.
func crashOptions(clock func() time.Time, sync time.Duration) durable.Options {
	return durable.Options{
		Sync: sync, Window: time.Minute, Span: time.Minute, Maintain: 5 * time.Millisecond, Clock: clock,
		Retention: durable.Retention{Keep: durable.Keep{Raw: 3 * time.Hour}}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// crew is the process at work.
type crew struct {
	order
	store *durable.Store
	began time.Time
	mu    sync.Mutex
	out   *gob.Encoder
}

func (o order) work(out io.Writer) {
	c := &crew{order: o, began: time.Now(), out: gob.NewEncoder(out)}
	var err error
	if c.store, err = durable.Open(o.Dir, crashOptions(c.clock, o.Sync)); err != nil {
		c.tell(&report{Failure: "open: " + err.Error()})
		return
	}
	for w := range o.Writers {
		go c.write(w)
	}
	go c.read()
	if o.Sync > 0 {
		go c.tellSyncs()
	}
}

func (c *crew) clock() time.Time {
	return time.UnixMilli(c.Now + c.Speed*time.Since(c.began).Milliseconds())
}

func (c *crew) tell(r *report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.At = time.Now().UnixNano()
	if err := c.out.Encode(r); err != nil {
		panic(err) // the parent is gone
	}
}

func (c *crew) fail(what string, err error) {
	c.tell(&report{Failure: fmt.Sprintf("%s: %v", what, err)})
}

func (c *crew) tellSyncs() {
	told := int64(0)
	for range time.Tick(time.Millisecond) {
		if n := c.store.Syncs(); n != told {
			told = n
			c.tell(&report{Syncs: n})
		}
	}
}

// write is one writer: batches over its own series, some of which end and begin all the time, late and repeated
// samples, histograms, and deletions.
func (c *crew) write(writer int) {
	rng := rand.New(rand.NewPCG(c.Seed, uint64(writer)))
	for n := uint64(0); ; n++ {
		op := c.operation(rng, writer, n)
		c.tell(&report{Begin: op})
		refused, err := op.do(c.store)
		if err != nil {
			c.fail("append", err)
			return
		}
		c.tell(&report{End: &operation{Writer: writer}, Refused: refused, Syncs: c.store.Syncs()})
	}
}

const slots = 12

func (c *crew) operation(rng *rand.Rand, writer int, n uint64) *operation {
	now := c.clock().UnixMilli()
	op := &operation{Writer: writer, Now: now}
	if rng.IntN(25) == 0 {
		from := now - rng.Int64N(400_000)
		op.Delete, op.Slot, op.Min, op.Max = true, rng.IntN(slots), from, from+rng.Int64N(200_000)
		return op
	}
	kinds := "ffff"
	if n%4 == 3 {
		kinds = "hg" // histograms come in batches of their own, so that a refusal's place is clear
	}
	for slot := range slots {
		t := now - rng.Int64N(100)
		switch rng.IntN(10) {
		case 0:
			t = now - rng.Int64N(80_000) // late, some too late
		case 1:
			t = now + rng.Int64N(120_000) // what comes next is late
		case 2, 3, 4, 5:
			continue
		}
		w := written{seriesName(writer, slot, t), slot, t, randomValue(rng, kinds[slot%len(kinds)], n)}
		if kinds == "ffff" || slot >= slots-2 {
			op.Samples = append(op.Samples, w)
		}
	}
	return op
}

// seriesName is the series that a slot has at a time: half of the slots get another one every five minutes.
func seriesName(writer, slot int, t int64) string {
	epoch := int64(0)
	if slot%2 == 1 {
		epoch = t / 300_000
	}
	return fmt.Sprintf("w%d_s%d_e%d", writer, slot, epoch)
}

func randomValue(rng *rand.Rand, kind byte, n uint64) stored {
	if kind != 'f' {
		return stored{kind, n % (1 << 30)}
	}
	switch rng.IntN(12) {
	case 0:
		return stored{'f', value.StaleNaN}
	case 1:
		return stored{'f', rng.Uint64()}
	case 2:
		return stored{'f', math.Float64bits(rng.NormFloat64())}
	}
	return stored{'f', math.Float64bits(float64(n))}
}

// do does an operation, and tells which samples were refused.
func (op *operation) do(s *durable.Store) (refused []int, err error) {
	if op.Delete {
		pattern := fmt.Sprintf("w%d_s%d_.*", op.Writer, op.Slot)
		return nil, s.Delete(context.Background(), op.Min, op.Max, labels.MustNewMatcher(labels.MatchRegexp, "__name__", pattern))
	}
	var batch engine.Batch
	for _, w := range op.Samples {
		ref, err := s.Ref(labels.FromStrings("__name__", w.Name, "slot", strconv.Itoa(w.Slot), "writer", strconv.Itoa(op.Writer)))
		if err != nil {
			return nil, err
		}
		switch w.Value.Kind {
		case 'f':
			batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: w.T, V: math.Float64frombits(w.Value.Bits)})
		case 'h':
			batch.Histograms = append(batch.Histograms, engine.HistogramSample{Ref: ref, T: w.T, Int: numbered(w.Value.Bits)})
		case 'g':
			batch.Histograms = append(batch.Histograms, engine.HistogramSample{Ref: ref, T: w.T, Float: numbered(w.Value.Bits).ToFloat(nil)})
		}
	}
	done, err := s.Append(context.Background(), batch)
	for _, r := range done.Refused {
		refused = append(refused, r.Index)
	}
	return refused, err
}

// leaveOut takes the samples at some places out of the operation.
func (op *operation) leaveOut(places []int) {
	var left []written
	for i, w := range op.Samples {
		if !slices.Contains(places, i) {
			left = append(left, w)
		}
	}
	op.Samples = left
}

// read asks all kinds of questions while everything else goes on.
func (c *crew) read() {
	rng := rand.New(rand.NewPCG(c.Seed, math.MaxUint64))
	for {
		now := c.clock().UnixMilli()
		sel := engine.Selection{Min: now - rng.Int64N(4*3_600_000), Max: now, Tier: engine.Tier(rng.IntN(3)), Sorted: rng.IntN(2) == 0}
		if sel.Tier != engine.TierRaw {
			sel.Column = engine.Column(rng.IntN(6))
		}
		if rng.IntN(2) == 0 {
			sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(labels.MatchRegexp, "__name__", fmt.Sprintf("w%d_.*", rng.IntN(c.Writers))))
		}
		if err := readWindowsOrSamples(c.store, sel); err != nil {
			c.fail(fmt.Sprintf("reading %+v", sel), err)
			return
		}
	}
}

func readWindowsOrSamples(s *durable.Store, sel engine.Selection) error {
	set, err := s.Select(context.Background(), sel)
	if err != nil {
		return err
	}
	defer set.Close()
	if sel.Tier == engine.TierRaw {
		_, err := readSet(set)
		return err
	}
	seen := map[string]bool{}
	for set.Next() {
		name := set.At().Labels().String()
		if seen[name] {
			return fmt.Errorf("series %s comes twice", name)
		}
		seen[name] = true
		it := set.At().Iterator(nil)
		for it.Next() != chunkenc.ValNone {
			it.AtT()
		}
		if err := it.Err(); err != nil {
			return fmt.Errorf("series %s: %w", name, err)
		}
	}
	return set.Err()
}
