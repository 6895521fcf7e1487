package cloud

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// Inventory is a list of resources that is read now and then. A resource that has vanished stays on it for a while, as
// its last periods are not final yet. It is for one goroutine at a time.
type Inventory[T any] struct {
	// List reads all resources by their ids, or fails.
	List func(ctx context.Context) (map[string]T, error)
	// Fresh is how long a list is good; Linger how long a vanished resource is kept.
	Fresh, Linger time.Duration

	read  time.Time
	items map[string]Item[T]
}

// Item is a resource.
type Item[T any] struct {
	ID       string
	Resource T
	// Gone is when it was first missed; zero while it is there.
	Gone time.Time
}

// Alive tells whether the resource is there.
func (i Item[T]) Alive() bool { return i.Gone.IsZero() }

// Get lists the resources by id. Beside an error it is the list as it was: nothing is taken for gone.
func (v *Inventory[T]) Get(ctx context.Context, now time.Time) ([]Item[T], error) {
	var failed error
	if v.items == nil || now.Sub(v.read) >= v.Fresh {
		failed = v.refresh(ctx, now)
	}
	return slices.SortedFunc(maps.Values(v.items), func(a, b Item[T]) int { return cmp.Compare(a.ID, b.ID) }), failed
}

// Expire has the next Get read the list anew.
func (v *Inventory[T]) Expire() { v.read = time.Time{} }

// Restore begins with a list that was kept, with what was gone by then, as it was read at a time: zero has the next Get
// read it anew.
func (v *Inventory[T]) Restore(items []Item[T], read time.Time) {
	v.items, v.read = make(map[string]Item[T], len(items)), read
	for _, item := range items {
		v.items[item.ID] = item
	}
}

// Known tells whether the list was ever read.
func (v *Inventory[T]) Known() bool { return v.items != nil }

func (v *Inventory[T]) refresh(ctx context.Context, now time.Time) error {
	there, err := v.List(ctx)
	if err != nil {
		return err
	}
	next := make(map[string]Item[T], len(there))
	for id, resource := range there {
		next[id] = Item[T]{ID: id, Resource: resource}
	}
	for id, item := range v.items {
		if _, is := there[id]; is {
			continue
		}
		if item.Alive() {
			item.Gone = now
		}
		if now.Sub(item.Gone) < v.Linger {
			next[id] = item
		}
	}
	v.items, v.read = next, now
	return nil
}
