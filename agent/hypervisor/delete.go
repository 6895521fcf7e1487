package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/novacron/novacron/itest/fault"
)

// Delete stops a machine and removes it with its volumes, through the journal. It goes on with what a crash left of
// a delete, and takes back a half-done create. A machine that is not there is ErrNotFound, unless the caller vouches
// for the id: then what carries it is removed, and nothing at all is fine.
func (m *Manager) Delete(ctx context.Context, id string, opts DeleteOptions) error {
	if err := checkID(id); err != nil {
		return err
	}
	release, err := m.machines.lock(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if err := m.delete(ctx, id, opts); err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	return nil
}

func (m *Manager) delete(ctx context.Context, id string, opts DeleteOptions) error {
	entry, err := m.journal.resume(id)
	switch {
	case err == nil && entry.Kind == KindCreate:
		return m.undo(ctx, entry)
	case err == nil:
		return m.finishDelete(ctx, entry, opts)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	_, meta, err := m.ours(ctx, id)
	if errors.Is(err, ErrNotFound) && opts.Vouched {
		return m.sweep(ctx, id)
	}
	if err != nil {
		return err
	}
	ctx = fault.On(ctx, meta.Definition.Name)
	volumes, err := m.ownVolumes(ctx, id, pools(meta.Definition))
	if err != nil {
		return err
	}
	entry = JournalEntry{ID: id, Kind: KindDelete, Owner: meta.Owner, Definition: meta.Definition, Volumes: volumes, Bases: meta.Bases}
	if err := m.step(ctx, opDelete, stepJournal, func() error { return m.journal.begin(entry) }); err != nil {
		return m.forgetUnlessInterrupted(ctx, id, err)
	}
	return m.finishDelete(ctx, entry, opts)
}

// forgetUnlessInterrupted takes back the journal of a delete that has not touched anything yet.
func (m *Manager) forgetUnlessInterrupted(ctx context.Context, id string, cause error) error {
	if ctx.Err() != nil {
		return cause
	}
	return errors.Join(cause, m.journal.end(id))
}

// finishDelete does the steps of a delete. Each is fine where its work is done already.
func (m *Manager) finishDelete(ctx context.Context, e JournalEntry, opts DeleteOptions) error {
	ctx = fault.On(ctx, e.Definition.Name)
	_, _, err := m.ours(ctx, e.ID)
	switch {
	case err == nil:
		if err := m.deleteDomain(ctx, e, opts); err != nil {
			return err
		}
	case !errors.Is(err, ErrNotFound):
		return err
	}
	if err := m.deleteVolumes(ctx, opDelete, e.ID, e.Volumes); err != nil {
		return err
	}
	if len(e.Bases) > 0 {
		if err := m.step(ctx, opDelete, stepBase, func() error { return m.collect(ctx, e.ID, e.Bases) }); err != nil {
			return err
		}
	}
	m.removeConsoleLog(e.ID)
	return m.step(ctx, opDelete, stepCommit, func() error { return m.journal.end(e.ID) })
}

func (m *Manager) deleteDomain(ctx context.Context, e JournalEntry, opts DeleteOptions) error {
	stop := StopOptions{Timeout: opts.StopTimeout, Force: opts.Force}
	return m.inOrder(ctx, opDelete,
		work{stepStop, func() error { return m.stop(ctx, e.ID, e.Definition, stop) }},
		work{stepUndefine, func() error { return ignoreNotFound(m.driver.Undefine(ctx, e.ID)) }},
	)
}

// sweep removes the volumes that carry the id of a machine of which nothing else is left, and bases without users.
func (m *Manager) sweep(ctx context.Context, id string) error {
	facts, err := m.HostFacts(ctx)
	if err != nil {
		return err
	}
	var all []string
	for _, p := range facts.Pools {
		all = append(all, p.Name)
	}
	volumes, err := m.ownVolumes(ctx, id, all)
	if err != nil {
		return err
	}
	if err := m.deleteVolumes(ctx, opDelete, id, volumes); err != nil || m.config.KeepUnusedBases {
		return err
	}
	return m.CollectBases(ctx)
}

// removeConsoleLog drops the record of a machine's console with its rotated predecessors. It may lie out of sight of
// this process, and is not worth failing a delete for.
func (m *Manager) removeConsoleLog(id string) {
	if m.config.ConsoleLogDir == "" {
		return
	}
	root, err := os.OpenRoot(m.config.ConsoleLogDir)
	if err != nil {
		return
	}
	defer root.Close()
	logs, _ := filepath.Glob(filepath.Join(m.config.ConsoleLogDir, consoleLogName(id)+"*"))
	for _, path := range logs {
		name := filepath.Base(path)
		if strings.Trim(strings.TrimPrefix(name, consoleLogName(id)), ".0123456789") != "" {
			continue
		}
		if err := root.Remove(name); err != nil {
			m.log.Warn("console log not removed", "id", id, "file", name, "error", err)
		}
	}
}
