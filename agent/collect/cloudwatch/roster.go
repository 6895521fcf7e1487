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
	// Gone are, by id, when those of them were first missed that are not there any more.
	Gone map[string]time.Time `json:"gone,omitempty"`
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
	restore(&r.machines, saved.Machines, saved)
	restore(&r.volumes, saved.Volumes, saved)
	return nil
}

// restore begins an inventory with what was saved.
func restore[T any](v *cloud.Inventory[T], resources map[string]T, saved roster) {
	if resources == nil {
		return
	}
	items := make([]cloud.Item[T], 0, len(resources))
	for id, resource := range resources {
		items = append(items, cloud.Item[T]{ID: id, Resource: resource, Gone: saved.Gone[id]})
	}
	v.Restore(items, saved.At)
}

// remember saves the lists after one was read, with what lingers on them.
func (r *region) remember(ctx context.Context, k known, now time.Time) error {
	if !r.changed {
		return nil
	}
	gone := map[string]time.Time{}
	state := roster{Version: rosterVersion, At: now, Machines: resources(k.machines, gone), Volumes: resources(k.volumes, gone), Gone: gone}
	data, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("state of the inventory of %s: %w", r.name, err)
	}
	if err := r.saved.Save(ctx, data); err != nil {
		return err
	}
	r.changed = false
	return nil
}

// resources are those of a list by id; when those went that are gone is noted beside.
func resources[T any](items []cloud.Item[T], gone map[string]time.Time) map[string]T {
	all := make(map[string]T, len(items))
	for _, item := range items {
		all[item.ID] = item.Resource
		if !item.Alive() {
			gone[item.ID] = item.Gone
		}
	}
	return all
}
