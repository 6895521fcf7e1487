package hypervisor

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
)

// Stored is one volume of a pool, with what this host knows about whose it is.
type Stored struct {
	VolumeInfo
	Owner OwnerKind
	// OwnerID is the id of the machine or volume, or the hash of the image, that the name tells.
	OwnerID string
	// Known says that something on this host stands for the owner: a domain, a journal, a user of the image.
	Known bool
	// UsedBy are the domains that have it as a disk, ours or not, by name.
	UsedBy []string
	// Overlays is how many volumes of its pool are on top of it.
	Overlays int
}

// Orphan tells whether the volume carries our name pattern and nothing on this host stands for its owner.
func (s Stored) Orphan() bool {
	return s.Owner != OwnerForeign && !s.Known && len(s.UsedBy) == 0 && s.Overlays == 0
}

// Stored lists the volumes of a pool, or of every pool where it is empty.
func (m *Manager) Stored(ctx context.Context, pool string) ([]Stored, error) {
	names, err := m.poolNames(ctx, pool)
	if err != nil {
		return nil, err
	}
	users, err := m.users(ctx)
	if err != nil {
		return nil, err
	}
	var all []Stored
	for _, name := range names {
		volumes, err := m.driver.Volumes(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("pool %s: %w", name, err)
		}
		for _, v := range volumes {
			all = append(all, m.stored(v, volumes, users))
		}
	}
	return all, nil
}

func (m *Manager) poolNames(ctx context.Context, pool string) ([]string, error) {
	if pool != "" {
		return []string{pool}, nil
	}
	facts, err := m.HostFacts(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range facts.Pools {
		names = append(names, p.Name)
	}
	return names, nil
}

func (m *Manager) stored(v VolumeInfo, pool []VolumeInfo, users volumeUsers) Stored {
	s := Stored{VolumeInfo: v, UsedBy: users.domains(v)}
	s.Owner, s.OwnerID = OwnerOf(v.Name)
	for _, other := range pool {
		if samePath(other.BackingPath, v.Path) {
			s.Overlays++
		}
	}
	switch s.Owner {
	case OwnerVM, OwnerVolume:
		s.Known = users.ids[s.OwnerID]
	case OwnerImage:
		ref := BaseRef{Pool: v.Pool, Volume: v.Name}
		s.Known = users.bases[VolumeRef{v.Pool, v.Name}] || m.pins.held(ref)
	case OwnerForeign:
	}
	return s
}

// volumeUsers is who may stand for a volume on this host.
type volumeUsers struct {
	// ids are those of all domains and of all work that was begun.
	ids   map[string]bool
	bases map[VolumeRef]bool
	disks []domainDisks
}

type domainDisks struct {
	name  string
	paths []string
}

func (u volumeUsers) domains(v VolumeInfo) (names []string) {
	for _, d := range u.disks {
		for _, p := range d.paths {
			if samePath(p, v.Path) || p == volumeKey(v.Pool, v.Name) {
				names = append(names, d.name)
				break
			}
		}
	}
	return names
}

// users looks at every domain and journal of the host. A domain of another cluster counts as much as one of ours.
func (m *Manager) users(ctx context.Context) (volumeUsers, error) {
	u := volumeUsers{ids: map[string]bool{}, bases: map[VolumeRef]bool{}}
	entries, err := m.journal.list()
	if err != nil {
		return u, err
	}
	for _, e := range entries {
		u.ids[e.ID] = true
		u.addBases(e.Bases)
		u.addSources(e)
	}
	domains, err := m.driver.Domains(ctx)
	if err != nil {
		return u, err
	}
	for _, d := range domains {
		u.ids[d.ID] = true
		if meta, err := decodeMetadata(d.Metadata); err == nil {
			u.addBases(meta.Bases)
		}
		u.disks = append(u.disks, domainDisks{d.Name, filePaths(d.XML)})
	}
	return u, nil
}

// addSources takes note of the volumes that a machine which is being made or deleted is to have as disks.
func (u *volumeUsers) addSources(e JournalEntry) {
	if e.Definition == nil {
		return
	}
	d := domainDisks{name: e.Definition.Name}
	for _, v := range e.Definition.Volumes {
		if v.Source != "" {
			d.paths = append(d.paths, volumeKey(v.Pool, v.Source))
		}
	}
	u.disks = append(u.disks, d)
}

// addBases takes note of images in use, and of the standalone volumes that are being made.
func (u volumeUsers) addBases(bases []BaseRef) {
	for _, b := range bases {
		u.bases[VolumeRef{b.Pool, b.Volume}] = true
		if kind, id := OwnerOf(b.Volume); kind == OwnerVolume {
			u.ids[id] = true
		}
	}
}

// volumeKey stands for a volume that a domain names by its pool.
func volumeKey(pool, volume string) string { return pool + "\x00" + volume }

// filePaths lists every file and device that a domain's XML names: in attributes of sources, as text such as that of a
// kernel, and as volumes of pools. More than its disks does no harm here: whatever is named is in use.
func filePaths(text string) (paths []string) {
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := decoder.Token()
		if err != nil {
			return paths
		}
		switch t := token.(type) {
		case xml.StartElement:
			attrs := map[string]string{}
			for _, attr := range t.Attr {
				attrs[attr.Name.Local] = attr.Value
				if strings.HasPrefix(attr.Value, "/") {
					paths = append(paths, attr.Value)
				}
			}
			if attrs["volume"] != "" {
				paths = append(paths, volumeKey(attrs["pool"], attrs["volume"]))
			}
		case xml.CharData:
			if value := strings.TrimSpace(string(t)); strings.HasPrefix(value, "/") {
				paths = append(paths, value)
			}
		}
	}
}

// ErrOwned is a volume that is not an orphan.
var ErrOwned = errors.New("not an orphan")

// RemoveOrphan removes a volume that carries our name pattern and that nobody stands for, after looking again under the
// lock of its owner: a create of that machine waits meanwhile, or has left its journal before. vouch is asked under the
// lock too, whether the cluster wants the owner on this host; it may be nil.
func (m *Manager) RemoveOrphan(ctx context.Context, ref VolumeRef, vouch func(kind OwnerKind, id string) error) error {
	kind, id := OwnerOf(ref.Name)
	if kind == OwnerForeign {
		return fmt.Errorf("volume %s in pool %s: %w; remove it with the tool that made it", ref.Name, ref.Pool, ErrForeign)
	}
	if kind == OwnerImage {
		return m.removeUnusedBase(ctx, ref)
	}
	release, err := m.lockOwner(ctx, kind, id, ref)
	if err != nil {
		return err
	}
	defer release()
	if vouch != nil {
		if err := vouch(kind, id); err != nil {
			return err
		}
	}
	if err := m.nobodyStandsFor(ctx, ref); err != nil {
		return err
	}
	return m.driver.DeleteVolume(ctx, ref.Pool, ref.Name)
}

func (m *Manager) lockOwner(ctx context.Context, kind OwnerKind, id string, ref VolumeRef) (func(), error) {
	if kind == OwnerVM {
		return m.machines.lock(ctx, id)
	}
	return m.bases.lock(ctx, ref.Pool+"/"+ref.Name)
}

// removeUnusedBase leaves the look for users to the collector, which knows them all.
func (m *Manager) removeUnusedBase(ctx context.Context, ref VolumeRef) error {
	if err := m.nobodyStandsFor(ctx, ref); err != nil {
		return err
	}
	return m.collectOne(ctx, "", BaseRef{Pool: ref.Pool, Volume: ref.Name})
}

func (m *Manager) nobodyStandsFor(ctx context.Context, ref VolumeRef) error {
	all, err := m.Stored(ctx, ref.Pool)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Name != ref.Name {
			continue
		}
		if !s.Orphan() {
			return fmt.Errorf("volume %s in pool %s: %w: %s; look again with «novacron volume orphans»", ref.Name, ref.Pool, ErrOwned, s.why())
		}
		return nil
	}
	return fmt.Errorf("volume %s in pool %s: %w", ref.Name, ref.Pool, ErrNotFound)
}

// why tells what keeps a volume from being an orphan.
func (s Stored) why() string {
	switch {
	case len(s.UsedBy) > 0:
		return "it is a disk of domain " + strings.Join(s.UsedBy, ", ")
	case s.Overlays > 0:
		return fmt.Sprintf("%d volumes lie on top of it", s.Overlays)
	}
	return fmt.Sprintf("%s %s is on this host", s.Owner, s.OwnerID)
}
