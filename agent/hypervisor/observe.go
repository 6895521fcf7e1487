package hypervisor

import (
	"context"
	"time"
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
