package hypervisor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/novacron/novacron/vm"
)

// Accelerators: what runs a guest's instructions.
const (
	AcceleratorKVM  = "kvm"
	AcceleratorQEMU = "qemu"
)

// Manager creates, runs and deletes this cluster's machines on one host. It is safe for concurrent use;
// orders for one machine wait for each other.
type Manager struct {
	driver  Driver
	config  Config
	log     *slog.Logger
	journal *journal
	// machines has a lock per machine, bases one per pool and base volume.
	machines keyLock
	bases    keyLock
	// sources has a lock per pool and volume that a create names.
	sources keyLock
	pins    pins

	factsMu sync.Mutex
	facts   HostFacts
	factsAt time.Time

	baselineMu  sync.Mutex
	cpuBaseline string

	systems systems
}

var _ KVMManager = (*Manager)(nil)

// New returns a manager. It touches no machine: Pending tells what a former one left half done.
func New(config Config) (*Manager, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	j, err := openJournal(config.JournalDir)
	if err != nil {
		return nil, err
	}
	if config.ConsoleLogDir != "" {
		if err := os.MkdirAll(config.ConsoleLogDir, 0o700); err != nil {
			return nil, fmt.Errorf("folder of the console logs: %w", err)
		}
	}
	return &Manager{driver: config.Driver, config: config, log: config.Logger, journal: j, cpuBaseline: config.CPUBaseline}, nil
}

// SetCPUBaseline says which processor model all hosts of the cluster have, where they differ. Machines that are made from now
// on, and that may move, get it.
func (m *Manager) SetCPUBaseline(model string) {
	m.baselineMu.Lock()
	defer m.baselineMu.Unlock()
	m.cpuBaseline = model
}

func (m *Manager) baseline() string {
	m.baselineMu.Lock()
	defer m.baselineMu.Unlock()
	return m.cpuBaseline
}

// Close ends the connection to the hypervisor. Guests run on.
func (m *Manager) Close() error { return m.driver.Close() }

// CreateVM creates and starts a machine of this cluster. It fills in defaults, and returns the machine's UUID.
func (m *Manager) CreateVM(ctx context.Context, def *VMDefinition) (string, error) {
	defaults := m.config.Defaults
	if defaults.NewUUID == nil {
		defaults.NewUUID = func() string { return uuid.NewString() }
	}
	if defaults.NewMAC == nil {
		// crypto/rand never fails.
		defaults.NewMAC = func() string { mac, _ := vm.NewMAC(rand.Reader); return mac }
	}
	normal := vm.Normalise(*def, defaults)
	return m.Create(ctx, CreateSpec{Definition: &normal, Owner: Owner{ClusterID: m.config.ClusterID}, Start: true})
}

// DeleteVM stops a machine gracefully and removes it with every volume that it owns.
func (m *Manager) DeleteVM(ctx context.Context, id string) error {
	return m.Delete(ctx, id, DeleteOptions{})
}

// VMExists tells whether a machine of this cluster with that id is on this host.
func (m *Manager) VMExists(ctx context.Context, id string) (bool, error) {
	_, _, err := m.ours(ctx, id)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrForeign):
		return false, nil
	default:
		return false, err
	}
}

// ours looks up a machine and makes sure that it belongs to this cluster.
func (m *Manager) ours(ctx context.Context, id string) (Domain, metadata, error) {
	if err := checkID(id); err != nil {
		return Domain{}, metadata{}, err
	}
	d, err := m.driver.Domain(ctx, id)
	if err != nil {
		return d, metadata{}, err
	}
	meta, ok := m.claim(d)
	if !ok {
		return d, meta, fmt.Errorf("domain %s (%s): %w; manage it with the tool that made it", d.Name, id, ErrForeign)
	}
	return d, meta, nil
}

// claim reads a domain's metadata and tells whether it is this cluster's.
func (m *Manager) claim(d Domain) (metadata, bool) {
	if d.Metadata == "" {
		return metadata{}, false
	}
	meta, err := decodeMetadata(d.Metadata)
	if errors.Is(err, ErrNotFound) {
		return meta, false
	}
	if err != nil {
		m.log.Warn("domain taken as foreign", "id", d.ID, "name", d.Name, "error", err)
		return meta, false
	}
	return meta, meta.Owner.ClusterID == m.config.ClusterID
}

func checkID(id string) error {
	if _, err := uuid.Parse(id); err != nil || len(id) != 36 {
		return fmt.Errorf("machine %.80q: %w; ids are UUIDs", id, ErrNotFound)
	}
	return nil
}

// Console opens the serial console of a running machine. Whoever opened it before loses it.
func (m *Manager) Console(ctx context.Context, id string) (Console, error) {
	d, _, err := m.ours(ctx, id)
	if err != nil {
		return nil, err
	}
	if d.State.Off() {
		return nil, fmt.Errorf("console of %s: the machine is stopped; start it first", d.Name)
	}
	return m.driver.Console(ctx, id)
}

// SetOwner records a new owner, epoch or generation in the machine. An older epoch is refused.
func (m *Manager) SetOwner(ctx context.Context, id string, owner Owner) error {
	release, err := m.machines.lock(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	_, meta, err := m.ours(ctx, id)
	if err != nil {
		return err
	}
	return m.setOwner(ctx, id, meta, owner)
}

func (m *Manager) setOwner(ctx context.Context, id string, meta metadata, owner Owner) error {
	if err := m.checkOwner(owner); err != nil {
		return err
	}
	if owner.Epoch < meta.Owner.Epoch {
		return fmt.Errorf("machine %s: epoch %d is older than %d: %w", id, owner.Epoch, meta.Owner.Epoch, ErrStaleEpoch)
	}
	if owner == meta.Owner {
		return nil
	}
	meta.Owner = owner
	return m.writeMetadata(ctx, id, meta)
}

func (m *Manager) checkOwner(owner Owner) error {
	if owner.ClusterID != m.config.ClusterID {
		return fmt.Errorf("owner is cluster %q, this host belongs to %q: %w", owner.ClusterID, m.config.ClusterID, ErrForeign)
	}
	return nil
}

// Subscribe sends changes of domains until the context ends, then closes the channel. A slow reader loses events:
// observe now and then as well.
func (m *Manager) Subscribe(ctx context.Context) (<-chan Event, error) { return m.driver.Events(ctx) }
