package cloud

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestInventoryGoesOnWithWhatWasKept(t *testing.T) {
	v := &Inventory[int]{Fresh: time.Hour, Linger: 10 * time.Minute, List: func(context.Context) (map[string]int, error) { return map[string]int{"a": 2}, nil }}
	v.Restore([]Item[int]{{ID: "a", Resource: 1}, {ID: "b"}, {ID: "c", Gone: noon.Add(-9 * time.Minute)}, {ID: "d", Gone: noon.Add(-10 * time.Minute)}}, time.Time{})
	if !v.Known() {
		t.Error("a list that was kept is not known")
	}
	items, err := v.Get(t.Context(), noon)
	if err != nil {
		t.Fatal(err)
	}
	want := []Item[int]{{ID: "a", Resource: 2}, {ID: "b", Gone: noon}, {ID: "c", Gone: noon.Add(-9 * time.Minute)}}
	if !slices.Equal(items, want) {
		t.Errorf("after a restart %v, want %v: what vanished meanwhile, and before for as long as it lingers", items, want)
	}
}

func TestInventoryKeepsWhatVanishedForAWhile(t *testing.T) {
	there, failing, lists := map[string]int{"a": 1, "b": 2}, error(nil), 0
	v := &Inventory[int]{Fresh: 5 * time.Minute, Linger: 10 * time.Minute, List: func(context.Context) (map[string]int, error) {
		lists++
		return there, failing
	}}
	alive := func(after time.Duration) string {
		items, err := v.Get(t.Context(), noon.Add(after))
		if err != nil && failing == nil {
			t.Fatal(err)
		}
		text := ""
		for _, item := range items {
			if text += item.ID; !item.Alive() {
				text += "†"
			}
		}
		return text
	}
	failing = errors.New("down")
	if got := alive(0); got != "" || v.Known() {
		t.Errorf("an inventory that was never read is %q and known: %v", got, v.Known())
	}
	failing = nil
	if got := alive(0); got != "ab" || !v.Known() {
		t.Errorf("first list %q, want ab", got)
	}
	there = map[string]int{"b": 2}
	if got := alive(4 * time.Minute); got != "ab" || lists != 2 {
		t.Errorf("a fresh list was read again, or is %q", got)
	}
	if got := alive(5 * time.Minute); got != "a†b" {
		t.Errorf("after a vanished: %q, want a†b", got)
	}
	failing = errors.New("down")
	if got := alive(16 * time.Minute); got != "a†b" {
		t.Errorf("beside an error: %q, want the list as it was", got)
	}
	failing = nil
	if got := alive(16 * time.Minute); got != "b" {
		t.Errorf("after its time: %q, want b", got)
	}
	there = map[string]int{"a": 1, "b": 2}
	if got := alive(21 * time.Minute); got != "ab" {
		t.Errorf("after a came back: %q, want ab", got)
	}
}
