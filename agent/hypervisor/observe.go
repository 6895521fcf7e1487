package hypervisor

import (
	"context"
	"time"

	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/ostype"
)

// factsAge is how old the facts may be that a create is checked against.
const factsAge = 5 * time.Second

// Observe lists every domain of the host; foreign ones are flagged. With an error from the journal alone, the domains
// are complete.
func (m *Manager) Observe(ctx context.Context) ([]Observed, error) {
	domains, err := m.driver.Domains(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := m.journal.list()
	halfDone := map[string]bool{}
	for _, e := range entries {
		halfDone[e.ID] = true
	}
	seen := make([]Observed, len(domains))
	for i, d := range domains {
		seen[i] = m.observed(ctx, d)
		seen[i].HalfDone = halfDone[d.ID]
	}
	return seen, err
}

func (m *Manager) observed(ctx context.Context, d Domain) Observed {
	o := Observed{ID: d.ID, Name: d.Name, State: d.State}
	meta, ours := m.claim(d)
	if !ours {
		return o
	}
	o.Ours, o.Name, o.Owner, o.Definition = true, meta.Definition.Name, meta.Owner, meta.Definition
	o.Machine = d.Machine
	return o
}

// HostFacts tells what the host can do. The first call may take seconds: it finds out what runs a guest.
func (m *Manager) HostFacts(ctx context.Context) (HostFacts, error) {
	facts, err := m.driver.Facts(ctx)
	if err != nil {
		return facts, err
	}
	for i := range facts.Pools {
		facts.Pools[i].NoOvercommit = facts.Pools[i].NoOvercommit || m.config.NoOvercommit
	}
	m.factsMu.Lock()
	defer m.factsMu.Unlock()
	m.facts, m.factsAt = facts, time.Now()
	return facts, nil
}

// Warnings tells what is unusual about a definition on this host and not wrong. Where osinfo-db is installed, its
// minima are used.
func (m *Manager) Warnings(ctx context.Context, def *VMDefinition) (vm.Warnings, error) {
	facts, err := m.recentFacts(ctx)
	if err != nil {
		return nil, err
	}
	m.systemsOnce.Do(func() { m.systems = ostype.Builtin().With(ostype.ReadOSInfo(m.config.OSInfo)) })
	return append(vm.Warn(*def, m.systems), HostWarnings(def, facts)...), nil
}

// recentFacts are good enough to check a create against.
func (m *Manager) recentFacts(ctx context.Context) (HostFacts, error) {
	m.factsMu.Lock()
	facts, at := m.facts, m.factsAt
	m.factsMu.Unlock()
	if !at.IsZero() && time.Since(at) < factsAge {
		return facts, nil
	}
	return m.HostFacts(ctx)
}
