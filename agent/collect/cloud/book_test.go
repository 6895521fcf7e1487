package cloud

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/novacron/novacron/agent/collect"
)

// shelf has a memory for each name.
type shelf map[string]*memory

func (s shelf) store(name string) collect.StateStore {
	if s[name] == nil {
		s[name] = &memory{}
	}
	return s[name]
}

func mustOpen(t *testing.T, s shelf) *Book {
	t.Helper()
	return mustOpenAt(t, s, noon)
}

func mustOpenAt(t *testing.T, s shelf, now time.Time) *Book {
	t.Helper()
	b, err := OpenBook(t.Context(), s.store, now, collect.NewMeter())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func always(collect.Metric) bool { return true }

// amounts are the true points of a series that grows by 1 + minute%7 each minute.
func amounts(w Window) (points []collect.Point) {
	for end := w.From.Add(time.Minute); !end.After(w.To); end = end.Add(time.Minute) {
		points = append(points, collect.Point{Time: end, Value: amountOf(end)})
	}
	return points
}

func amountOf(end time.Time) float64 { return 1 + float64(end.Unix()/60%7) }

func counterOf(w Window) Series {
	return Series{
		Name: "vm_network_receive_bytes_total", Labels: map[string]string{"vm_id": "i-1", "interface": "_all"}, Source: collect.GCM,
		Kind: collect.NativeDelta, Period: time.Minute, Points: amounts(w), Window: w, Alive: true,
	}
}

// TestEachPeriodCountsOnce kills the book at random between its steps for three simulated days.
func TestEachPeriodCountsOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	disk, stored := shelf{}, map[int64]float64{}
	book := mustOpen(t, disk)
	for now := noon.Add(time.Minute); now.Before(noon.Add(72 * time.Hour)); now = now.Add(time.Duration(1+random.IntN(9)) * time.Minute) {
		if random.IntN(4) == 0 {
			book = mustOpenAt(t, disk, now) // died before it collected
		}
		book.Begin()
		w := book.Window("all", collect.GCPCompute, now, 24*time.Hour)
		book.Answered("all", w)
		metrics := book.Enter([]Series{counterOf(w)}, now, always)
		if random.IntN(4) == 0 {
			book = mustOpen(t, disk) // died with metrics that nobody has
			continue
		}
		for _, m := range metrics {
			stored[m.Timestamp.Unix()] = m.Value
		}
		switch random.IntN(4) {
		case 0:
			book = mustOpen(t, disk) // died after they were stored
			continue
		case 1:
			disk["windows"].failing = errors.New("died between the two states")
			if book.Settle(t.Context(), true, now) == nil {
				t.Fatal("the windows were not kept and nobody says so")
			}
			disk["windows"].failing = nil
			book = mustOpen(t, disk)
			continue
		}
		if err := book.Settle(t.Context(), true, now); err != nil {
			t.Fatal(err)
		}
	}
	last, total := book.Through(), 0.0
	for end := noon.Add(time.Minute); !end.After(last); end = end.Add(time.Minute) {
		total += amountOf(end)
		if got := stored[end.Unix()]; got != total {
			t.Fatalf("counter at %v is %v, the truth %v", end, got, total)
		}
	}
	if total < 10000 {
		t.Errorf("only %v was counted up to %v", total, last)
	}
}

func TestVanishedSeriesEndOnce(t *testing.T) {
	book := mustOpen(t, shelf{})
	w := book.Window("all", collect.GCPCompute, noon, time.Hour)
	gauge := Series{Name: "vm_vcpus", Labels: map[string]string{"vm_id": "i-1"}, Source: collect.GCM, Points: []collect.Point{{Time: noon, Value: 4}}, Window: w}
	turn := func(now time.Time, stored bool, conclusive func(collect.Metric) bool, series ...Series) (values, markers int) {
		book.Begin()
		for _, m := range book.Enter(series, now, conclusive) {
			if collect.IsStale(m.Value) {
				markers++
			} else {
				values++
			}
		}
		if err := book.Settle(t.Context(), stored, now); err != nil {
			t.Fatal(err)
		}
		return values, markers
	}
	never := func(collect.Metric) bool { return false }
	for i, step := range []struct {
		stored          bool
		conclusive      func(collect.Metric) bool
		series          []Series
		values, markers int
	}{
		{true, always, []Series{gauge}, 1, 0},
		{true, always, []Series{gauge}, 0, 0}, // told already, and still there
		{true, never, nil, 0, 0},              // its resource could not be read
		{false, always, nil, 0, 1},            // the marker is not stored
		{true, always, nil, 0, 1},             // and told again
		{true, always, nil, 0, 0},             // once
	} {
		values, markers := turn(noon.Add(time.Duration(i)*time.Minute), step.stored, step.conclusive, step.series...)
		if values != step.values || markers != step.markers {
			t.Errorf("step %d: %d values and %d markers, want %d and %d", i, values, markers, step.values, step.markers)
		}
	}
}

func TestUnansweredWindowsAreAskedForAgain(t *testing.T) {
	disk := shelf{}
	book := mustOpen(t, disk)
	w := book.Window("eu", collect.AWSBasic, noon, time.Hour)
	if err := book.Settle(t.Context(), true, noon); err != nil {
		t.Fatal(err)
	}
	later := noon.Add(30 * time.Minute)
	if again := book.Window("eu", collect.AWSBasic, later, time.Hour); !again.From.Equal(noon.Add(-10*time.Minute)) || !again.To.Equal(later) {
		t.Errorf("after no answer from %v is asked for, want two periods before the beginning", again.From)
	}
	book.Answered("eu", w)
	if err := book.Settle(t.Context(), true, noon); err != nil {
		t.Fatal(err)
	}
	if got := mustOpen(t, disk).Through(); !got.Equal(w.Final) {
		t.Errorf("stored through %v, want %v", got, w.Final)
	}
	if again := book.Window("eu", collect.AWSBasic, later, time.Hour); !again.From.Equal(w.Final.Add(-10 * time.Minute)) {
		t.Errorf("the next window begins at %v, want two periods before %v", again.From, w.Final)
	}
	if far := book.Window("eu", collect.AWSBasic, noon.Add(48*time.Hour), time.Hour); !far.From.Equal(noon.Add(47 * time.Hour)) {
		t.Errorf("after two days the window begins at %v, want an hour back", far.From)
	}
}

func TestDamagedStatesAreRefused(t *testing.T) {
	for _, state := range []string{"{", `{"version": 9}`} {
		if _, err := OpenBook(t.Context(), shelf{"windows": {state: []byte(state)}}.store, noon, nil); err == nil {
			t.Errorf("windows %s were taken", state)
		}
		if _, err := OpenBudget(t.Context(), &memory{state: []byte("{")}, Tariff{}, collect.Spending{}); err == nil {
			t.Error("a damaged budget was taken")
		}
	}
}
