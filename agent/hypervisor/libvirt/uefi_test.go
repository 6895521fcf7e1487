//go:build cgo && libvirt_dlopen

package libvirt

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/itest/lab"
	"github.com/novacron/novacron/vm"
)

// uefiCase is a machine with UEFI, and what its guest says when it is asked about it.
type uefiCase struct {
	secure bool
	tpm    string
	// loader is the end of the firmware's name.
	loader string
	says   []string
}

func uefiCases() map[string]uefiCase {
	return map[string]uefiCase{
		"plain": {tpm: vm.TPMNone, loader: "OVMF_CODE_4M.fd", says: []string{"efi=64;", "secure=0;", "lockdown=0;", "tpm=;"}},
		"tpm":   {tpm: vm.TPM2, loader: "OVMF_CODE_4M.fd", says: []string{"efi=64;", "secure=0;", "tpm=2;"}},
		// The kernel is signed by Debian alone, whose key the firmware has not: what the hypervisor hands over it starts all the same.
		"secure": {secure: true, tpm: vm.TPMAuto, loader: "OVMF_CODE_4M.ms.fd", says: []string{"efi=64;", "secure=1;", "lockdown=1;", "tpm=2;"}},
	}
}

// questions are asked of a guest's shell. What it repeats of them has no number after the sign.
const questions = `echo "efi=$(cat /sys/firmware/efi/fw_platform_size); secure=$(dmesg | grep -c 'Secure boot enabled'); ` +
	`lockdown=$(dmesg | grep -c 'locked down from EFI'); tpm=$(cat /sys/class/tpm/tpm0/tpm_version_major 2>/dev/null); said=$((6 * 7))"`

// TestUEFIGuests boots guests by UEFI, asks them about it, restarts them and deletes them with all that is kept of them.
func TestUEFIGuests(t *testing.T) {
	host, guest := labHost(t)
	d := openHost(t, host, Options{Accelerator: hypervisor.AcceleratorQEMU})
	images := newLabImages(t, guest)
	for name, c := range uefiCases() {
		t.Run(name, func(t *testing.T) {
			def := uefiGuest(c)
			needHost(t, d, &def)
			m := labManager(t, d, t.TempDir(), nil)
			start := time.Now()
			id, err := m.Create(t.Context(), hypervisor.CreateSpec{Definition: &def, Owner: hypervisor.Owner{ClusterID: "lab", Epoch: 1}, Images: images, Start: true})
			require.NoError(t, err)
			console, err := m.Console(t.Context(), id)
			require.NoError(t, err)
			hear(t, console, lab.UpMark)
			t.Logf("create to greeting took %v", time.Since(start).Round(time.Millisecond))
			_, err = fmt.Fprintln(console, questions)
			require.NoError(t, err)
			answer := hear(t, console, "said=42")
			for _, word := range c.says {
				require.Contains(t, answer, word)
			}
			require.NoError(t, console.Close())
			requireFirmware(t, d, id, c)
			require.Equal(t, c.kept(), keptState(t, host))
			requireOwnAuthority(t, host, c)
			require.NoError(t, m.Stop(t.Context(), id, hypervisor.StopOptions{Timeout: labPatience}))
			require.Equal(t, c.kept(), keptState(t, host), "variables and keys outlive a stop")
			require.NoError(t, m.Start(t.Context(), id))
			require.NoError(t, m.Delete(t.Context(), id, hypervisor.DeleteOptions{Force: true}))
			require.Empty(t, keptState(t, host), "nothing outlives the machine")
			require.Empty(t, leftovers(t, d))
		})
	}
}

func uefiGuest(c uefiCase) vm.Definition {
	return vm.Normalise(vm.Definition{
		Name: "uefi", UUID: uuid.NewString(), CPUs: 1, MemoryMB: 256, DiskGB: 1, Pool: labPool,
		Firmware: vm.FirmwareUEFI, SecureBoot: &c.secure, TPM: c.tpm,
		Boot: &vm.DirectBoot{Kernel: "kernel", Initrd: "initrd", Cmdline: lab.KernelArgs},
	}, vm.Defaults{})
}

// kept is how much of a machine libvirt keeps beside its definition.
func (c uefiCase) kept() []string {
	kept := []string{"nvram"}
	if c.tpm != vm.TPMNone {
		kept = append(kept, "tpm")
	}
	return kept
}

// keptState lists the variables of firmwares and the states of TPMs on a host.
func keptState(t *testing.T, host *lab.Host) []string {
	t.Helper()
	root, err := host.Root()
	require.NoError(t, err)
	var kept []string
	for _, one := range []struct{ name, pattern string }{{"nvram", "qemu/nvram/*"}, {"tpm", "swtpm/*"}} {
		files, err := filepath.Glob(filepath.Join(root, "var/lib/libvirt", one.pattern))
		require.NoError(t, err)
		for range files {
			kept = append(kept, one.name)
		}
	}
	return kept
}

// requireOwnAuthority makes sure that what certifies TPMs is the lab host's own and not that of the machine.
func requireOwnAuthority(t *testing.T, host *lab.Host, c uefiCase) {
	t.Helper()
	if c.tpm == vm.TPMNone {
		return
	}
	inside, err := filepath.Glob(filepath.Join(host.Dir(), "tpm", "authority", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, inside)
}

func requireFirmware(t *testing.T, d hypervisor.Driver, id string, c uefiCase) {
	t.Helper()
	seen, err := d.Domain(t.Context(), id)
	require.NoError(t, err)
	var domain libvirtxml.Domain
	require.NoError(t, domain.Unmarshal(seen.XML))
	require.Equal(t, c.loader, filepath.Base(domain.OS.Loader.Path))
	require.Equal(t, c.secure, domain.OS.Loader.Secure == "yes")
	require.Equal(t, c.secure, domain.Features.SMM != nil && domain.Features.SMM.State == "on")
}

// needHost skips where the host lacks what a definition asks for.
func needHost(t *testing.T, d hypervisor.Driver, def *vm.Definition) hypervisor.HostFacts {
	t.Helper()
	facts, err := d.Facts(t.Context())
	require.NoError(t, err)
	if err := hypervisor.CheckHost(def, facts); err != nil {
		t.Skipf("%v; deploy/setup.sh --lab installs what can be had", err)
	}
	return facts
}

// TestWindowsMachineReachesItsFirmware starts the machine that Windows 11 gets: secure boot, SMM, TPM 2.0, a screen. It
// has nothing to boot, and its firmware says so.
func TestWindowsMachineReachesItsFirmware(t *testing.T) {
	host, _ := labHost(t)
	d := openHost(t, host, Options{Accelerator: hypervisor.AcceleratorQEMU})
	def := vm.Normalise(vm.Definition{
		Name: "eleven", UUID: uuid.NewString(), CPUs: 2, MemoryMB: 512, DiskGB: 1, Pool: labPool, OSType: "windows", OSVersion: "11",
		NetworkInterfaces: []vm.NetworkInterface{{User: true}},
	}, vm.Defaults{NewMAC: counted("52:54:00:aa:cc:")})
	needHost(t, d, &def)
	dir := t.TempDir()
	m := labManager(t, d, dir, nil)
	id, err := m.Create(t.Context(), hypervisor.CreateSpec{Definition: &def, Owner: hypervisor.Owner{ClusterID: "lab", Epoch: 1}, Start: true})
	require.NoError(t, err)
	console, err := m.Console(t.Context(), id)
	require.NoError(t, err)
	said := hear(t, console, "BdsDxe")
	require.NoError(t, console.Close())
	t.Log(strings.TrimSpace(said))
	require.Equal(t, []string{"nvram", "tpm"}, keptState(t, host))
	require.NoError(t, m.Delete(t.Context(), id, hypervisor.DeleteOptions{Force: true}))
	require.Empty(t, keptState(t, host))
	require.Empty(t, leftovers(t, d))
}
