package cloud

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novacron/novacron/agent/collect"
)

func mustAccess(t *testing.T, store collect.StateStore, paces *Paces, told ...collect.Pause) *Access {
	t.Helper()
	a, err := OpenAccess(t.Context(), store, paces, told)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// refusedUntil is until when a call is refused; zero where it is let through.
func refusedUntil(t *testing.T, d Door) time.Time {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := d.Wait(ctx)
	var throttled *ThrottledError
	if errors.As(err, &throttled) {
		return throttled.Until
	}
	if err != nil {
		t.Fatal(err)
	}
	return time.Time{}
}

// TestAPauseOutlivesTheProcess kills the process at once after an API has asked for 309 s, and again in between.
func TestAPauseOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &memory{}
		a := mustAccess(t, disk, &Paces{})
		until := time.Now().Add(309 * time.Second)
		a.To("123", "GetThings", 10, 10).Close(t.Context(), until)
		for range 5 {
			<-time.After(time.Minute)
			a = mustAccess(t, disk, &Paces{})
			if got := a.Pauses(); len(got) != 1 || got[0] != (collect.Pause{Account: "123", API: "GetThings", Until: until.UTC()}) {
				t.Fatalf("the pauses of before the start are %v", got)
			}
			if got := refusedUntil(t, a.To("123", "GetThings", 10, 10)); !got.Equal(until) {
				t.Fatalf("refused until %v, want %v", got, until)
			}
			if got := refusedUntil(t, a.To("456", "GetThings", 10, 10)); !got.IsZero() {
				t.Fatalf("another account is refused until %v", got)
			}
			if err := a.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(10 * time.Second)
		a = mustAccess(t, disk, &Paces{})
		if got := refusedUntil(t, a.To("123", "GetThings", 10, 10)); !got.IsZero() || len(a.Pauses()) != 0 {
			t.Fatalf("after its end it is refused until %v", got)
		}
	})
}

// TestAPauseIsKeptByAllWhoCall has one collector be told and another of the same account survive.
func TestAPauseIsKeptByAllWhoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		paces, disks := &Paces{}, []*memory{{}, {}}
		told, other := mustAccess(t, disks[0], paces), mustAccess(t, disks[1], paces)
		door := other.To("123", "GetThings", 10, 10)
		until := time.Now().Add(time.Hour)
		told.To("123", "GetThings", 10, 10).Close(t.Context(), until)
		if got := refusedUntil(t, door); !got.Equal(until) {
			t.Fatalf("the other is refused until %v, want %v", got, until)
		}
		if err := other.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		alone := mustAccess(t, disks[1], &Paces{})
		if got := refusedUntil(t, alone.To("123", "GetThings", 10, 10)); !got.Equal(until) {
			t.Fatalf("after a start it is refused until %v, want %v", got, until)
		}
	})
}

// TestAPauseThatCannotBeKeptIsTold has the disk fail: the pause holds while the process lives, and is kept later.
func TestAPauseThatCannotBeKeptIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &memory{failing: errors.New("the disk is full")}
		a := mustAccess(t, disk, &Paces{})
		until := time.Now().Add(time.Hour)
		a.To("123", "GetThings", 10, 10).Close(t.Context(), until)
		if err := a.Settle(t.Context()); err == nil || !strings.Contains(err.Error(), "the disk is full") {
			t.Fatalf("it says %v", err)
		}
		disk.failing = nil
		if err := a.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := mustAccess(t, disk, &Paces{}).Pauses(); len(got) != 1 {
			t.Fatalf("kept are %v", got)
		}
	})
}

// TestAPauseOfAClockThatWasSetBack does not last longer than what was left of it.
func TestAPauseOfAClockThatWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := time.Now().Add(365 * 24 * time.Hour).UTC().Format(time.RFC3339)
		later := time.Now().Add(365*24*time.Hour + 309*time.Second).UTC().Format(time.RFC3339)
		disk := &memory{state: []byte(`{"version":1,"at":"` + ahead + `","pauses":[{"account":"123","api":"GetThings","until":"` + later + `"}]}`)}
		a := mustAccess(t, disk, &Paces{})
		if got := refusedUntil(t, a.To("123", "GetThings", 10, 10)); time.Until(got) > 309*time.Second || got.IsZero() {
			t.Fatalf("refused until %v", got)
		}
	})
}

func TestAnAccessTakesWhatTheClusterKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(time.Hour).UTC()
		a := mustAccess(t, &memory{}, &Paces{}, collect.Pause{Account: "123", API: "GetThings", Until: until})
		if got := refusedUntil(t, a.To("123", "GetThings", 10, 10)); !got.Equal(until) {
			t.Fatalf("refused until %v, want %v", got, until)
		}
	})
}

func TestAnAccessRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, text := range []string{"{", `{"version":2}`} {
		if _, err := OpenAccess(t.Context(), &memory{state: []byte(text)}, &Paces{}, nil); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

// TestABookKnowsItsSeriesAfterAStart ends what nobody tells any more, once, and nothing of which nobody knows.
func TestABookKnowsItsSeriesAfterAStart(t *testing.T) {
	disk := shelf{}
	enter := func(b *Book, now time.Time, conclusive func(collect.Metric) bool, names ...string) (ended int) {
		b.Begin()
		var series []Series
		for _, name := range names {
			series = append(series, Series{Name: name, Labels: map[string]string{"vm_id": "i-1"}, Source: collect.GCM})
		}
		for _, m := range b.Enter(series, now, conclusive) {
			if collect.IsStale(m.Value) {
				ended++
			}
		}
		return ended
	}
	book := mustOpen(t, disk)
	enter(book, noon, always, "vm_vcpus", "vm_load1")
	if err := book.Settle(t.Context(), true, noon); err != nil {
		t.Fatal(err)
	}
	later := noon.Add(time.Hour)
	book = mustOpen(t, disk)
	if got := len(book.Told()); got != 2 {
		t.Fatalf("%d series are known, want 2", got)
	}
	never := func(collect.Metric) bool { return false }
	for what, c := range map[string]struct {
		conclusive func(collect.Metric) bool
		want       int
	}{"nobody knows": {never, 0}, "it is gone": {always, 1}, "it is gone, and was not stored": {always, 1}} {
		if got := enter(book, later, c.conclusive, "vm_vcpus"); got != c.want {
			t.Errorf("%s: %d ended, want %d", what, got, c.want)
		}
	}
	enter(book, later, always, "vm_vcpus")
	if err := book.Settle(t.Context(), true, later); err != nil {
		t.Fatal(err)
	}
	if got := enter(mustOpen(t, disk), later, always, "vm_vcpus"); got != 0 {
		t.Errorf("%d ended again", got)
	}
}
