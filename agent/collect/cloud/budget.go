package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/novacron/novacron/agent/collect"
)

// Tariff is what a provider charges for and how much of it may be used.
type Tariff struct {
	// Unit names what is charged, as in «metrics requested».
	Unit string
	// Price of a unit in US dollars; 0 where it is not known.
	Price float64
	// Daily bounds the units of a day in UTC; 0 means no bound.
	Daily int
}

// Forecast is what a day costs when it goes on like one collection.
type Forecast struct {
	Tariff
	// Units a day.
	Units float64
}

// Dollars a day.
func (f Forecast) Dollars() float64 { return f.Units * f.Price }

func (f Forecast) String() string {
	text := fmt.Sprintf("%.0f %s a day", f.Units, f.Unit)
	if f.Price > 0 {
		text += fmt.Sprintf(": this costs about $%.2f a day", f.Dollars())
	}
	if f.Daily > 0 && f.Units > float64(f.Daily) {
		text += fmt.Sprintf("; the budget of %d stops it after %.1f h", f.Daily, 24*float64(f.Daily)/f.Units)
	}
	return text
}

// Forecast of a collection that uses some units each interval.
func (t Tariff) Forecast(units int, interval time.Duration) Forecast {
	return Forecast{Tariff: t, Units: float64(units) * float64(24*time.Hour) / float64(interval)}
}

// Budget counts the units of the day and ends at its bound. It is safe for concurrent use.
type Budget struct {
	tariff Tariff
	store  collect.StateStore

	mu    sync.Mutex
	spent collect.Spending
}

// OpenBudget goes on with what was spent today, here or, as told, by another collector of the source before.
func OpenBudget(ctx context.Context, store collect.StateStore, tariff Tariff, told collect.Spending) (*Budget, error) {
	b := &Budget{tariff: tariff, store: store}
	data, err := store.Load(ctx)
	if err != nil {
		return nil, err
	}
	if data != nil {
		if err := json.Unmarshal(data, &b.spent); err != nil {
			return nil, fmt.Errorf("state of a budget: %w; remove it to begin the day anew", err)
		}
	}
	if told.Day > b.spent.Day || told.Day == b.spent.Day && told.Units > b.spent.Units {
		b.spent = told
	}
	return b, nil
}

// Spending is what was spent on the last day on which something was.
func (b *Budget) Spending() collect.Spending {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent
}

// Spend takes units before they are used, and keeps that they are: who dies in between has spent them. What is above
// the day's bound is refused as a whole with a *BudgetError.
func (b *Budget) Spend(ctx context.Context, now time.Time, units int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.on(now)
	if b.tariff.Daily > 0 && next.Units+units > b.tariff.Daily {
		return &BudgetError{Tariff: b.tariff, Spent: next.Units, Wanted: units, Until: startOfNext(now)}
	}
	next.Units += units
	return b.save(ctx, next)
}

// Correct adds what was used beyond what was taken, or gives back, with a negative number, what was not used.
func (b *Budget) Correct(ctx context.Context, now time.Time, units int) error {
	if units == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.on(now)
	next.Units = max(0, next.Units+units)
	return b.save(ctx, next)
}

// Spent is how many units of the day are used.
func (b *Budget) Spent(now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.on(now).Units
}

// Forecast of a collection that uses some units each interval.
func (b *Budget) Forecast(units int, interval time.Duration) Forecast {
	return b.tariff.Forecast(units, interval)
}

func (b *Budget) on(now time.Time) collect.Spending {
	day := now.UTC().Format(time.DateOnly)
	if b.spent.Day != day {
		return collect.Spending{Day: day}
	}
	return b.spent
}

func (b *Budget) save(ctx context.Context, next collect.Spending) error {
	data, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("state of a budget: %w", err)
	}
	if err := b.store.Save(ctx, data); err != nil {
		return err
	}
	b.spent = next
	return nil
}

func startOfNext(now time.Time) time.Time {
	return now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
}

// BudgetError says that the day's units are used up.
type BudgetError struct {
	Tariff
	Spent, Wanted int
	// Until is when the next day begins.
	Until time.Time
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("budget of %d %s a day: %d are used and %d more are needed, so nothing is collected until %s; raise the budget, collect less often or fewer metrics",
		e.Daily, e.Unit, e.Spent, e.Wanted, e.Until.Format(time.RFC3339))
}
