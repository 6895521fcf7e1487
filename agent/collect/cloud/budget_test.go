package cloud

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/novacron/novacron/agent/collect"
)

// memory is a state that lies in memory; while failing is set nothing is kept.
type memory struct {
	state   []byte
	failing error
}

func (m *memory) Load(context.Context) ([]byte, error) { return m.state, nil }

func (m *memory) Save(_ context.Context, state []byte) error {
	if m.failing != nil {
		return m.failing
	}
	m.state = state
	return nil
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestBudgetEndsAtItsBound(t *testing.T) {
	store := &memory{}
	tariff := Tariff{Unit: "metrics requested", Price: 1e-5, Daily: 100}
	b, err := OpenBudget(t.Context(), store, tariff, collect.Spending{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Spend(t.Context(), noon, 60); err != nil {
		t.Fatal(err)
	}
	var refused *BudgetError
	if err := b.Spend(t.Context(), noon, 41); !errors.As(err, &refused) || refused.Spent != 60 || refused.Wanted != 41 {
		t.Fatalf("41 of the 40 that are left: %v", err)
	}
	if text := refused.Error(); !strings.Contains(text, "2026-03-02T00:00:00Z") || !strings.Contains(text, "100 metrics requested") {
		t.Errorf("error %q names neither the limit nor when the next day begins", text)
	}

	again, err := OpenBudget(t.Context(), store, tariff, collect.Spending{})
	if err != nil {
		t.Fatal(err)
	}
	if spent := again.Spent(noon); spent != 60 {
		t.Errorf("after a restart %d are spent, want 60", spent)
	}
	if err := again.Correct(t.Context(), noon, -10); err != nil {
		t.Fatal(err)
	}
	if err := again.Spend(t.Context(), noon, 50); err != nil {
		t.Errorf("the 50 that are left after 10 were given back: %v", err)
	}
	if err := again.Spend(t.Context(), noon.Add(12*time.Hour), 100); err != nil {
		t.Errorf("the next day: %v", err)
	}
}

func TestBudgetSpendsNothingThatItCannotKeep(t *testing.T) {
	store := &memory{failing: errors.New("disk full")}
	b, err := OpenBudget(t.Context(), store, Tariff{Unit: "calls"}, collect.Spending{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Spend(t.Context(), noon, 5); err == nil {
		t.Error("units were spent though that could not be kept")
	}
	if spent := b.Spent(noon); spent != 0 {
		t.Errorf("%d are spent, want 0", spent)
	}
}

func TestForecastSaysWhatADayCosts(t *testing.T) {
	// 50 machines × 8 metrics each 5 minutes at $0.01 per 1,000 metrics.
	f := Tariff{Unit: "metrics requested", Price: 1e-5, Daily: 57600}.Forecast(400, 5*time.Minute)
	if f.Units != 115200 || math.Abs(f.Dollars()-1.152) > 1e-9 {
		t.Errorf("got %v units and %v dollars, want 115200 and 1.152", f.Units, f.Dollars())
	}
	want := "115200 metrics requested a day: this costs about $1.15 a day; the budget of 57600 stops it after 12.0 h"
	if f.String() != want {
		t.Errorf("got  %s\nwant %s", f, want)
	}
}

// TestABudgetGoesOnOnAnotherHost holds that a source that moves does not get the day's units anew, and that what is told of
// another day, or is less than what is known here, does not count.
func TestABudgetGoesOnOnAnotherHost(t *testing.T) {
	tariff := Tariff{Unit: "calls", Daily: 100}
	first, err := OpenBudget(t.Context(), &memory{}, tariff, collect.Spending{})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Spend(t.Context(), noon, 70); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		kept string
		told collect.Spending
		want int
	}{
		"told":                 {"", first.Spending(), 70},
		"told, of yesterday":   {"", collect.Spending{Day: "2026-02-28", Units: 99}, 0},
		"told less":            {`{"day":"2026-03-01","units":80}`, first.Spending(), 80},
		"kept is of yesterday": {`{"day":"2026-02-28","units":80}`, first.Spending(), 70},
	} {
		disk := &memory{}
		if c.kept != "" {
			disk.state = []byte(c.kept)
		}
		b, err := OpenBudget(t.Context(), disk, tariff, c.told)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Spent(noon); got != c.want {
			t.Errorf("%s: %d are spent, want %d", name, got, c.want)
		}
		if err := b.Spend(t.Context(), noon, 101-c.want); err == nil {
			t.Errorf("%s: more than the day's units are spent", name)
		}
	}
}
