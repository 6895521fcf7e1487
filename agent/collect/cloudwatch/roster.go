package cloudwatch

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/novacron/novacron/agent/collect/cloud"
)

// rosterVersion is that of the saved form.
const rosterVersion = 1

// roster is what a region had when its lists were read last, so that what vanishes while nobody looks is still asked
// for its last periods.
type roster struct {
	Version  int                `json:"version"`
	At       time.Time          `json:"at"`
	Machines map[string]machine `json:"machines"`
	Volumes  map[string]volume  `json:"volumes"`
}

// recall goes on with the lists that were saved.
func (r *region) recall(ctx context.Context) error {
	data, err := r.saved.Load(ctx)
	if err != nil || data == nil {
		return err
	}
	saved := roster{}
	if err := json.Unmarshal(data, &saved); err != nil {
		return fmt.Errorf("state of the inventory of %s: %w; remove it to begin with what is there now", r.name, err)
	}
	if saved.Version != rosterVersion {
		return fmt.Errorf("state of the inventory of %s has version %d, this program knows %d; upgrade this node", r.name, saved.Version, rosterVersion)
	}
	r.before = saved.Machines
	if err := recallOne(ctx, &r.machines, saved.Machines, saved.At); err != nil {
		return err
	}
	return recallOne(ctx, &r.volumes, saved.Volumes, saved.At)
}

// recallOne reads an inventory once from what was saved.
func recallOne[T any](ctx context.Context, v *cloud.Inventory[T], saved map[string]T, at time.Time) error {
	if saved == nil {
		return nil
	}
	list := v.List
	defer func() { v.List = list }()
	v.List = func(context.Context) (map[string]T, error) { return saved, nil }
	_, err := v.Get(ctx, at)
	return err
}

// remember saves the lists after one was read, with what lingers on them.
func (r *region) remember(ctx context.Context, k known, now time.Time) error {
	if !r.changed {
		return nil
	}
	data, err := json.Marshal(roster{Version: rosterVersion, At: now, Machines: resources(k.machines), Volumes: resources(k.volumes)})
	if err != nil {
		return fmt.Errorf("state of the inventory of %s: %w", r.name, err)
	}
	if err := r.saved.Save(ctx, data); err != nil {
		return err
	}
	r.changed = false
	return nil
}

func resources[T any](items []cloud.Item[T]) map[string]T {
	all := make(map[string]T, len(items))
	for _, item := range items {
		all[item.ID] = item.Resource
	}
	return all
}
