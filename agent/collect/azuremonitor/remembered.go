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
}

func (r remembered) machine() machine {
	return machine{id: r.ID, uuid: r.VMID, name: r.Name, region: r.Region}
}

// load gives the machines that were saved, by resource id.
func (r *roll) load(ctx context.Context) (map[string]machine, error) {
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
	there := map[string]machine{}
	for _, one := range state.Machines {
		there[one.ID] = one.machine()
	}
	return there, nil
}

// save keeps the machines where they have changed.
func (r *roll) save(ctx context.Context, found []cloud.Item[machine]) error {
	next := make([]remembered, 0, len(found))
	for _, one := range found {
		m := one.Resource
		next = append(next, remembered{ID: m.id, VMID: m.uuid, Name: m.name, Region: m.region})
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
// list before it is read, so that it tells which of them are gone.
func (a *account) listed(ctx context.Context, now time.Time) ([]cloud.Item[machine], error) {
	if !a.machines.Known() {
		there, err := a.roll.load(ctx)
		if err != nil {
			return nil, err
		}
		if there != nil {
			if err := a.recall(ctx, there); err != nil {
				return nil, err
			}
		}
	}
	found, err := a.machines.Get(ctx, now)
	if err != nil {
		return found, err
	}
	return found, a.roll.save(ctx, found)
}

// recall puts machines on the list as it was long ago: it is read again at once.
func (a *account) recall(ctx context.Context, there map[string]machine) error {
	read := a.machines.List
	defer func() { a.machines.List = read }()
	a.machines.List = func(context.Context) (map[string]machine, error) { return there, nil }
	_, err := a.machines.Get(ctx, time.Time{})
	return err
}
