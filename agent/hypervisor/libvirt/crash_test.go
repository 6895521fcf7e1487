//go:build cgo && libvirt_dlopen

package libvirt

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/itest/fault"
	"github.com/novacron/novacron/vm"
)

const (
	childURI   = "NOVACRON_TEST_CHILD_URI"
	childOrder = "NOVACRON_TEST_CHILD_ORDER"
)

// childWork is what a parent wants its child to create, as a file.
type childWork struct {
	Definition *vm.Definition
	Owner      hypervisor.Owner
	Images     labImages
	Journal    string
}

// TestChild is the process that the test below kills.
func TestChild(t *testing.T) {
	if os.Getenv(childURI) == "" {
		t.Skip("only as a child of the crash tests")
	}
	data, err := os.ReadFile(os.Getenv(childOrder))
	require.NoError(t, err)
	var work childWork
	require.NoError(t, json.Unmarshal(data, &work))
	faults, err := fault.Parse(os.Getenv(fault.Environment))
	require.NoError(t, err)
	d, err := Open(t.Context(), Options{URI: os.Getenv(childURI), Accelerator: hypervisor.AcceleratorQEMU})
	require.NoError(t, err)
	_, err = labManager(t, d, work.Journal, faults).Create(t.Context(), work.order())
	require.NoError(t, err)
}

func (w childWork) order() hypervisor.CreateSpec {
	return hypervisor.CreateSpec{Definition: w.Definition, Owner: w.Owner, Images: w.Images, Start: true}
}

// dieAt runs a child that creates a machine and is killed at a point.
func dieAt(t *testing.T, uri, point string, work childWork) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "work.json")
	data, err := json.Marshal(work)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, data, 0o600))
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	child.Env = append(os.Environ(), fault.Environment+"="+point+"=exit", childURI+"="+uri, childOrder+"="+file)
	out, err := child.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), "%s", out)
}

// TestCreateKilledAnywhereOnQEMU kills the process at every point of a create, and lets the next one continue it or
// undo it.
func TestCreateKilledAnywhereOnQEMU(t *testing.T) {
	host, guest := labHost(t)
	d := openHost(t, host, Options{Accelerator: hypervisor.AcceleratorQEMU})
	uri, err := host.URI()
	require.NoError(t, err)
	images := newLabImages(t, guest)
	for _, point := range append(hypervisor.FaultPoints(), hypervisor.SeedFaultPoints()...) {
		if !inCreate(point) {
			continue
		}
		start := func(t *testing.T) (*hypervisor.Manager, hypervisor.CreateSpec, []hypervisor.JournalEntry) {
			order := labOrder(images)
			work := childWork{order.Definition, order.Owner, images, t.TempDir()}
			dieAt(t, uri, point, work)
			m := labManager(t, d, work.Journal, nil)
			pending, err := m.Pending(t.Context())
			require.NoError(t, err)
			return m, order, pending
		}
		t.Run(point+" continued", func(t *testing.T) {
			m, order, _ := start(t)
			id, err := m.Create(t.Context(), order)
			require.NoError(t, err)
			require.NoError(t, m.Delete(t.Context(), id, hypervisor.DeleteOptions{Force: true}))
			require.Empty(t, leftovers(t, d))
		})
		t.Run(point+" undone", func(t *testing.T) {
			m, order, pending := start(t)
			for _, e := range pending {
				require.NoError(t, m.Undo(t.Context(), e.ID))
			}
			if point == "hypervisor.create.commit.after" {
				require.NoError(t, m.Delete(t.Context(), order.Definition.UUID, hypervisor.DeleteOptions{Force: true}))
			}
			require.Empty(t, leftovers(t, d))
		})
	}
}
