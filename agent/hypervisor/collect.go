package hypervisor

import (
	"context"
	"errors"
	"fmt"
)

// collect removes the base images among refs that nothing uses any more, unless the configuration keeps them.
func (m *Manager) collect(ctx context.Context, id string, refs []BaseRef) error {
	if m.config.KeepUnusedBases {
		return nil
	}
	for _, ref := range refs {
		if err := m.collectOne(ctx, id, ref); err != nil && !errors.Is(err, ErrInUse) {
			return fmt.Errorf("base image %s in pool %s: %w", ref.Volume, ref.Pool, err)
		}
	}
	return nil
}

// CollectBases removes every base image of the host's pools that nothing uses any more, whatever the configuration keeps.
func (m *Manager) CollectBases(ctx context.Context) error {
	facts, err := m.HostFacts(ctx)
	if err != nil {
		return err
	}
	for _, p := range facts.Pools {
		names, err := m.driver.VolumeNames(ctx, p.Name)
		if err != nil {
			return fmt.Errorf("pool %s: %w", p.Name, err)
		}
		for _, name := range names {
			if !isBase(name) {
				continue
			}
			err := m.collectOne(ctx, "", BaseRef{Pool: p.Name, Volume: name})
			if err != nil && !errors.Is(err, ErrInUse) {
				return fmt.Errorf("base image %s in pool %s: %w", name, p.Name, err)
			}
		}
	}
	return nil
}

// collectOne removes one base; ErrInUse where a machine other than id, a create or an overlay needs it.
func (m *Manager) collectOne(ctx context.Context, id string, ref BaseRef) error {
	release, err := m.bases.lock(ctx, ref.Pool+"/"+ref.Volume)
	if err != nil {
		return err
	}
	defer release()
	if !isBase(ref.Volume) {
		return fmt.Errorf("volume %s: %w", ref.Volume, ErrForeign)
	}
	if err := m.unused(ctx, id, ref); err != nil {
		return err
	}
	if err := m.dropHalfImport(ctx, ref); err != nil {
		return err
	}
	return ignoreNotFound(m.driver.DeleteVolume(ctx, ref.Pool, ref.Volume))
}

// unused looks for users of a base from the cheapest evidence to the dearest: running creates, the journal,
// the domains' metadata, and at last the overlays themselves.
func (m *Manager) unused(ctx context.Context, id string, ref BaseRef) error {
	if m.pins.held(ref) {
		return ErrInUse
	}
	entries, err := m.journal.list()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.ID != id && e.Kind == KindCreate && refers(e.Bases, ref) {
			return ErrInUse
		}
	}
	domains, err := m.driver.Domains(ctx)
	if err != nil {
		return err
	}
	for _, d := range domains {
		if meta, err := decodeMetadata(d.Metadata); err == nil && d.ID != id && refers(meta.Bases, ref) {
			return ErrInUse
		}
	}
	return m.noOverlay(ctx, ref)
}

func refers(bases []BaseRef, ref BaseRef) bool {
	for _, b := range bases {
		if b.Pool == ref.Pool && b.Volume == ref.Volume {
			return true
		}
	}
	return false
}

// noOverlay makes sure that no volume of the pool is on top of the base.
func (m *Manager) noOverlay(ctx context.Context, ref BaseRef) error {
	base, err := m.driver.Volume(ctx, ref.Pool, ref.Volume)
	if err != nil {
		return ignoreNotFound(err)
	}
	names, err := m.driver.VolumeNames(ctx, ref.Pool)
	if err != nil {
		return err
	}
	for _, name := range names {
		v, err := m.driver.Volume(ctx, ref.Pool, name)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err == nil && v.BackingPath == base.Path {
			return ErrInUse
		}
	}
	return nil
}
