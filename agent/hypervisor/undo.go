package hypervisor

import (
	"context"
	"errors"
	"fmt"

	"github.com/novacron/novacron/itest/fault"
)

// Pending lists the creates and deletes that were begun and not finished. Each is ended by Create or Undo, or by
// Delete. Half-done imports of base images, which nothing refers to yet, are removed on the way.
func (m *Manager) Pending(ctx context.Context) ([]JournalEntry, error) {
	entries, err := m.journal.list()
	faults := []error{err}
	var pending []JournalEntry
	for _, e := range entries {
		if e.Kind != KindImport {
			pending = append(pending, e)
			continue
		}
		for _, ref := range e.Bases {
			faults = append(faults, m.endImport(ctx, ref))
		}
	}
	return pending, errors.Join(faults...)
}

// endImport removes a half-done import unless a create is busy with it.
func (m *Manager) endImport(ctx context.Context, ref BaseRef) error {
	if m.pins.held(ref) {
		return nil
	}
	release, err := m.bases.lock(ctx, ref.Pool+"/"+ref.Volume)
	if err != nil {
		return err
	}
	defer release()
	return m.dropHalfImport(ctx, ref)
}

// Undo removes everything that a half-done create made, in reverse, and then its journal.
func (m *Manager) Undo(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	release, err := m.machines.lock(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	entry, err := m.journal.resume(id)
	if err != nil {
		return err
	}
	if entry.Kind != KindCreate {
		return fmt.Errorf("undo %s: a %s of it is %w and cannot be undone; finish it with Delete", id, entry.Kind, ErrHalfDone)
	}
	return m.undo(ctx, entry)
}

// undo takes back the steps that an entry has begun. Steps that were never begun left nothing to remove.
func (m *Manager) undo(ctx context.Context, e JournalEntry) error {
	ctx = fault.On(ctx, e.Definition.Name)
	if err := m.undoDomain(ctx, e); err != nil {
		return err
	}
	var made []VolumeRef
	for _, d := range ownDisks(e.Definition) {
		if e.begun(stepVolume + " " + d.name) {
			made = append(made, VolumeRef{d.pool, VolumeName(e.ID, d.name, d.format)})
		}
	}
	if err := m.deleteVolumes(ctx, opUndo, e.ID, made); err != nil {
		return err
	}
	if len(e.Bases) > 0 {
		if err := m.step(ctx, opUndo, stepBase, func() error { return m.collect(ctx, e.ID, e.Bases) }); err != nil {
			return err
		}
	}
	m.removeConsoleLog(e.ID)
	return m.step(ctx, opUndo, stepCommit, func() error { return m.journal.end(e.ID) })
}

// undoDomain removes the domain of a half-done create, if it is there and ours.
func (m *Manager) undoDomain(ctx context.Context, e JournalEntry) error {
	if !e.begun(stepDefine) {
		return nil
	}
	_, _, err := m.ours(ctx, e.ID)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrForeign) {
		return nil
	}
	if err != nil {
		return err
	}
	return m.inOrder(ctx, opUndo,
		work{stepStop, func() error { return ignoreNotFound(m.driver.Kill(ctx, e.ID, false)) }},
		work{stepUndefine, func() error { return ignoreNotFound(m.driver.Undefine(ctx, e.ID)) }},
	)
}
