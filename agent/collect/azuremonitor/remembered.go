package azuremonitor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// roll remembers which machines there were, so that one that vanishes while nobody looks is still asked for its last
// periods.
type roll struct {
	store collect.StateStore
	saved []remembered
}

// rollVersion is that of the saved form.
const rollVersion = 1

// rollState is the saved form.
type rollState struct {
	Version  int          `json:"version"`
	Machines []remembered `json:"machines"`
}

// remembered is what is needed to ask for a machine and to name its series.
type remembered struct {
	ID     string `json:"id"`
	VMID   string `json:"vm_id,omitempty"`
	Name   string `json:"name"`
	Region string `json:"region"`
	// Gone is when it was first missed; zero while it was there.
	Gone time.Time `json:"gone,omitzero"`
}

func (r remembered) item() cloud.Item[machine] {
	return cloud.Item[machine]{ID: r.ID, Resource: machine{recalled: true, id: r.ID, uuid: r.VMID, name: r.Name, region: r.Region}, Gone: r.Gone}
}

// load gives the machines that were saved; nil where nothing was.
func (r *roll) load(ctx context.Context) ([]cloud.Item[machine], error) {
	data, err := r.store.Load(ctx)
	if err != nil || data == nil {
		return nil, err
	}
	state := rollState{}
	if err := json.Unmarshal(data, &state); err != nil {
		return nil, fmt.Errorf("state of machines: %w; remove it to begin anew", err)
	}
	if state.Version != rollVersion {
		return nil, fmt.Errorf("state of machines has version %d, this program knows %d; upgrade this node", state.Version, rollVersion)
	}
	r.saved = state.Machines
	there := make([]cloud.Item[machine], 0, len(state.Machines))
	for _, one := range state.Machines {
		there = append(there, one.item())
	}
	return there, nil
}

// save keeps the machines where they have changed, but for those that the service tells nothing of any more.
func (r *roll) save(ctx context.Context, found []cloud.Item[machine], over map[string]bool) error {
	next := make([]remembered, 0, len(found))
	for _, one := range found {
		if m := one.Resource; !over[m.id] {
			next = append(next, remembered{ID: m.id, VMID: m.uuid, Name: m.name, Region: m.region, Gone: one.Gone})
		}
	}
	slices.SortFunc(next, func(a, b remembered) int { return strings.Compare(a.ID, b.ID) })
	if slices.Equal(next, r.saved) {
		return nil
	}
	data, err := json.Marshal(rollState{Version: rollVersion, Machines: next})
	if err != nil {
		return fmt.Errorf("state of machines: %w", err)
	}
	if err := r.store.Save(ctx, data); err != nil {
		return err
	}
	r.saved = next
	return nil
}

// listed are the machines of the subscription. The first time, those that were there when this ran last are put on the
// list before it is read, so that it tells which of them are gone. Those that are over are not remembered.
func (a *account) listed(ctx context.Context, now time.Time, over map[string]bool) ([]cloud.Item[machine], error) {
	if !a.machines.Known() {
		there, err := a.roll.load(ctx)
		if err != nil {
			return nil, err
		}
		if there != nil {
			a.machines.Restore(there, time.Time{})
		}
	}
	found, err := a.machines.Get(ctx, now)
	if err != nil {
		return found, err
	}
	return found, a.roll.save(ctx, found, over)
}
