package hypervisor_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/itest/fault"
	"github.com/novacron/novacron/vm"
)

const testCluster = "cluster-under-test"

// patience is how long anything may take; what works takes a fraction.
const patience = time.Minute

// host is a fake host with a manager that can die and come back.
type host struct {
	t      *testing.T
	dir    string
	opts   fake.Options
	driver *fake.Driver
	*hypervisor.Manager
}

func newHost(t *testing.T, opts fake.Options) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir(), opts: opts}
	h.opts.Dir = h.dir
	h.restart(nil)
	return h
}

// restart is a new process on the same host: a new driver and manager over what the disk holds.
func (h *host) restart(faults *fault.Registry) {
	h.t.Helper()
	h.driver, h.Manager = openHost(h.t, h.opts, faults)
}

func openHost(t *testing.T, opts fake.Options, faults *fault.Registry) (*fake.Driver, *hypervisor.Manager) {
	t.Helper()
	driver, err := fake.New(opts)
	require.NoError(t, err)
	manager, err := hypervisor.New(hypervisor.Config{
		Driver: driver, ClusterID: testCluster, JournalDir: filepath.Join(opts.Dir, "journal"), Faults: faults,
	})
	require.NoError(t, err)
	return driver, manager
}

// imageDir is a source of images: files in a folder.
type imageDir string

func (d imageDir) Image(_ context.Context, name string) (hypervisor.ImageFile, error) {
	path := filepath.Join(string(d), name)
	data, err := os.ReadFile(path)
	if err != nil {
		return hypervisor.ImageFile{}, err
	}
	sum := sha256.Sum256(data)
	return hypervisor.ImageFile{Path: path, SHA256: hex.EncodeToString(sum[:]), Format: vm.FormatRaw}, nil
}

// newImages makes a folder with a small disk image, a kernel and a RAM disk.
func newImages(dir string) (imageDir, error) {
	images := filepath.Join(dir, "blobs")
	if _, err := os.Stat(images); err == nil {
		return imageDir(images), nil
	}
	if err := os.MkdirAll(images, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"disk", "kernel", "initrd"} {
		if err := os.WriteFile(filepath.Join(images, name), fmt.Appendf(nil, "%-4096s", name), 0o644); err != nil {
			return "", err
		}
	}
	return imageDir(images), nil
}

// fullDefinition uses everything that a create has steps for: disks, one of them an overlay, a seed, a medium and a kernel.
func fullDefinition(id string) *vm.Definition {
	macs := 0
	def := vm.Normalise(vm.Definition{
		Name: "web", UUID: id, CPUs: 1, MemoryMB: 64, DiskGB: 1, Image: "disk",
		Volumes:           []vm.Volume{{SizeGB: 2}, {SizeGB: 1, Image: "disk"}},
		NetworkInterfaces: []vm.NetworkInterface{{}},
		ISO:               "disk",
		CloudInit:         &vm.CloudInit{UserData: "#cloud-config\n{}\n"},
		Boot:              &vm.DirectBoot{Kernel: "kernel", Initrd: "initrd", Cmdline: "console=ttyS0"},
	}, vm.Defaults{NewMAC: func() string { macs++; return fmt.Sprintf("52:54:00:%s:%s:%02x", id[:2], id[2:4], macs) }})
	return &def
}

// order is a create of everything.
func (h *host) order(id string) hypervisor.CreateSpec {
	h.t.Helper()
	images, err := newImages(h.dir)
	require.NoError(h.t, err)
	return hypervisor.CreateSpec{
		Definition: fullDefinition(id), Start: true, Images: images,
		Owner: hypervisor.Owner{ClusterID: testCluster, Epoch: 1, Generation: 1},
	}
}

// create makes a machine and fails the test where that fails.
func (h *host) create() string {
	h.t.Helper()
	id, err := h.Create(h.t.Context(), h.order(uuid.NewString()))
	require.NoError(h.t, err)
	return id
}

// requireNothing makes sure that no domain, volume or journal is left.
func (h *host) requireNothing() {
	h.t.Helper()
	require.Empty(h.t, h.driver.Leftovers())
	left, err := os.ReadDir(filepath.Join(h.dir, "journal"))
	require.NoError(h.t, err)
	require.Empty(h.t, left)
}

// only observes the single domain of the host.
func (h *host) only() hypervisor.Observed {
	h.t.Helper()
	seen, err := h.Observe(h.t.Context())
	require.NoError(h.t, err)
	require.Len(h.t, seen, 1)
	return seen[0]
}
