package reconcile

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
)

// machines is a host whose creates and deletes do what a test says.
type machines struct {
	// onCreate and onDelete, when set, are asked at the given attempt, counted from 1.
	onCreate func(ctx context.Context, attempt int) error
	onDelete func(attempt int) error
	// looks are how long the next looks at the host take to arrive after they were taken; none when it is empty.
	looks []time.Duration

	mu       sync.Mutex
	there    map[string]hypervisor.Observed
	pending  map[string]bool
	creating int
	most     int
	creates  int
	deletes  int
	reboots  int
	// unrecorded is how many records of a wish still fail, as when libvirt goes away.
	unrecorded int
	undone     []string
	// media are the changes of media, each with what the machine did then.
	media []string
	// events are told to who subscribed last.
	events chan hypervisor.Event
}

var _ Machines = (*machines)(nil)

func newMachines() *machines {
	return &machines{there: map[string]hypervisor.Observed{}, pending: map[string]bool{}}
}

func (m *machines) Create(ctx context.Context, spec hypervisor.CreateSpec) (string, error) {
	id, attempt := spec.Definition.UUID, m.begin(spec.Definition.UUID)
	spec.Progress("working")
	var err error
	if m.onCreate != nil {
		err = m.onCreate(ctx, attempt)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.creating--
	if err == nil {
		m.there[id] = hypervisor.Observed{ID: id, Ours: true, State: hypervisor.StateRunning, Owner: spec.Owner, Definition: spec.Definition}
	}
	if ctx.Err() == nil { // an error is undone at once, an interruption is not
		delete(m.pending, id)
	}
	return id, err
}

func (m *machines) begin(id string) (attempt int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.creates++
	m.creating++
	m.most = max(m.most, m.creating)
	m.pending[id] = true
	return m.creates
}

func (m *machines) Delete(_ context.Context, id string, _ hypervisor.DeleteOptions) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deletes++
	if m.onDelete != nil {
		if err := m.onDelete(m.deletes); err != nil {
			return err
		}
	}
	delete(m.there, id)
	delete(m.pending, id)
	return nil
}

func (m *machines) change(id string, change func(*hypervisor.Observed)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	machine := m.there[id]
	change(&machine)
	m.there[id] = machine
	return nil
}

func (m *machines) Start(_ context.Context, id string) error {
	return m.change(id, func(o *hypervisor.Observed) { o.State = hypervisor.StateRunning })
}

func (m *machines) Stop(_ context.Context, id string, _ hypervisor.StopOptions) error {
	return m.change(id, func(o *hypervisor.Observed) { o.State = hypervisor.StateStopped })
}

func (m *machines) Pause(_ context.Context, id string) error {
	return m.change(id, func(o *hypervisor.Observed) { o.State = hypervisor.StatePaused })
}

func (m *machines) Reboot(context.Context, string, bool) error {
	<-time.After(time.Second)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reboots++
	return nil
}

func (m *machines) SetOwner(_ context.Context, id string, owner hypervisor.Owner) error {
	return m.change(id, func(o *hypervisor.Observed) { o.Owner = owner })
}

func (m *machines) Adjust(ctx context.Context, definition *hypervisor.VMDefinition, owner hypervisor.Owner) error {
	if m.fails() {
		return hypervisor.ErrUnavailable
	}
	return m.SetOwner(ctx, definition.UUID, owner)
}

func (m *machines) Reshape(context.Context, *hypervisor.VMDefinition) error { return nil }

func (m *machines) ChangeMedia(_ context.Context, spec hypervisor.MediaSpec) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.media = append(m.media, string(m.there[spec.Definition.UUID].State)+" "+spec.Definition.ISO)
	return nil
}

func (m *machines) Adopt(_ context.Context, definition *hypervisor.VMDefinition, owner hypervisor.Owner) error {
	return m.change(definition.UUID, func(o *hypervisor.Observed) { o.Ours, o.Owner = true, owner })
}

func (m *machines) Undo(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.undone = append(m.undone, id)
	delete(m.pending, id)
	return nil
}

func (m *machines) Observe(context.Context) ([]hypervisor.Observed, error) {
	m.mu.Lock()
	all := slices.Collect(maps.Values(m.there))
	var takes time.Duration
	if len(m.looks) > 0 {
		takes, m.looks = m.looks[0], m.looks[1:]
	}
	m.mu.Unlock()
	<-time.After(takes)
	return all, nil
}

func (m *machines) Pending(context.Context) (entries []hypervisor.JournalEntry, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.pending {
		entries = append(entries, hypervisor.JournalEntry{ID: id, Kind: hypervisor.KindCreate})
	}
	return entries, nil
}

func (m *machines) Subscribe(context.Context) (<-chan hypervisor.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = make(chan hypervisor.Event)
	return m.events, nil
}

func (m *machines) counts() (creates, deletes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.creates, m.deletes
}

func (m *machines) setLooks(looks []time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks = looks
}

func (m *machines) fails() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unrecorded--
	return m.unrecorded >= 0
}
