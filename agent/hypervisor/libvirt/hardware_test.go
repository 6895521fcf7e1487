//go:build cgo && libvirt_dlopen

package libvirt

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/itest/lab"
	"github.com/novacron/novacron/vm"
)

// Tests of what takes hardware: each runs where the machine has it. Elsewhere it makes sure that the definition is
// refused or accepted as it should be, and says what is missing.

// bootedGuest is a small guest that a test changes.
func bootedGuest(change func(*vm.Definition)) vm.Definition {
	def := vm.Definition{
		Name: "special", UUID: uuid.NewString(), CPUs: 1, MemoryMB: 128, DiskGB: 1, Pool: labPool,
		Boot: &vm.DirectBoot{Kernel: "kernel", Initrd: "initrd", Cmdline: lab.KernelArgs},
	}
	change(&def)
	return vm.Normalise(def, vm.Defaults{})
}

// boots creates a machine, hears its greeting, asks it something, looks at it and deletes it. It returns the answer.
func boots(t *testing.T, d hypervisor.Driver, guest lab.Guest, def vm.Definition, question string, look func(*libvirtxml.Domain)) string {
	t.Helper()
	m := labManager(t, d, t.TempDir(), nil)
	id, err := m.Create(t.Context(), hypervisor.CreateSpec{Definition: &def, Owner: hypervisor.Owner{ClusterID: "lab", Epoch: 1}, Images: newLabImages(t, guest), Start: true})
	require.NoError(t, err)
	console, err := m.Console(t.Context(), id)
	require.NoError(t, err)
	hear(t, console, lab.UpMark)
	_, err = fmt.Fprintf(console, "%s; echo said=$((6 * 7))\n", question)
	require.NoError(t, err)
	answer := hear(t, console, "said=42")
	require.NoError(t, console.Close())
	seen, err := d.Domain(t.Context(), id)
	require.NoError(t, err)
	var domain libvirtxml.Domain
	require.NoError(t, domain.Unmarshal(seen.XML))
	look(&domain)
	require.NoError(t, m.Delete(t.Context(), id, hypervisor.DeleteOptions{Force: true}))
	require.Empty(t, leftovers(t, d))
	return answer
}

const (
	pagesReserved = "/proc/sys/vm/nr_hugepages"
	pagesFree     = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
)

func number(t *testing.T, file string) int {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("the machine has no pages of 2 MiB: %v", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	require.NoError(t, err)
	return n
}

// reservePages adds large pages to those that the machine keeps, until the test ends.
func reservePages(t *testing.T, n int) {
	t.Helper()
	before := number(t, pagesReserved)
	set := func(n int) error { return os.WriteFile(pagesReserved, []byte(strconv.Itoa(n)), 0o644) }
	t.Cleanup(func() { require.NoError(t, set(before)) })
	if err := set(before + n); err != nil {
		t.Skipf("%d pages of 2 MiB cannot be reserved: %v", n, err)
	}
	if got := number(t, pagesReserved) - before; got < n {
		t.Skipf("the machine has memory for %d pages of 2 MiB, not for %d", got, n)
	}
}

func TestGuestOnHugePages(t *testing.T) {
	const pages = 64
	host, guest := loneHost(t)
	reservePages(t, pages)
	d := openHost(t, host, Options{Accelerator: hypervisor.AcceleratorQEMU})
	def := bootedGuest(func(def *vm.Definition) {
		def.MemoryMB, def.Memory.HugePages = 2*pages, "2M"
		def.CPU.NUMA = []vm.NUMACell{{CPUs: "0", MemoryMB: 2 * pages}}
	})
	needHost(t, d, &def)
	free := number(t, pagesFree)
	boots(t, d, guest, def, "true", func(domain *libvirtxml.Domain) {
		require.NotNil(t, domain.MemoryBacking.MemoryHugePages)
		require.Equal(t, pages, free-number(t, pagesFree), "the guest's memory is of such pages")
	})
	require.Equal(t, free, number(t, pagesFree))
}

// enlightenments are all that definitions may get.
func enlightenments() []string {
	return []string{"relaxed", "vapic", "spinlocks", "vpindex", "runtime", "synic", "stimer", "frequencies", "tlbflush", "ipi"}
}

func TestHyperVEnlightenments(t *testing.T) {
	host, guest := labHost(t)
	d := openHost(t, host, Options{})
	on := true
	def := bootedGuest(func(def *vm.Definition) { def.HyperV = &on })
	facts, err := d.Facts(t.Context())
	require.NoError(t, err)
	if facts.Accelerator == hypervisor.AcceleratorKVM {
		answer := boots(t, d, guest, def, "dmesg | grep Hypervisor", func(domain *libvirtxml.Domain) { require.NotNil(t, domain.Features.HyperV) })
		require.Contains(t, answer, "Microsoft Hyper-V")
		return
	}
	def.OSType, def.OSVersion = "windows", "2025" // without its clock there is no stimer
	def.Boot = nil
	better := hypervisor.HostFacts{Guest: &hypervisor.GuestFacts{HyperV: enlightenments(), Migratable: true}}
	text, err := (&hypervisor.Template{Accelerator: hypervisor.AcceleratorKVM, Host: better}).GenerateXML(&def)
	require.NoError(t, err)
	for _, name := range enlightenments() {
		require.Contains(t, text, "<"+name+" state=\"on\"")
	}
	if err := d.Define(t.Context(), text); err != nil {
		t.Skipf("Hyper-V enlightenments take KVM, which libvirt does not find here: %v", err)
	}
	seen, err := d.Domain(t.Context(), def.UUID)
	require.NoError(t, err)
	for _, name := range enlightenments() {
		require.Contains(t, seen.XML, "<"+name+" state='on'")
	}
	require.NoError(t, d.Undefine(t.Context(), def.UUID))
	t.Skipf("Hyper-V enlightenments take KVM, under which no guest runs here; emulation offers %v of them. libvirt has defined a machine with all ten", facts.Guest.HyperV)
}

func TestEncryptedMemory(t *testing.T) {
	host, guest := loneHost(t)
	d := openHost(t, host, Options{})
	def := bootedGuest(func(def *vm.Definition) {
		def.Firmware, def.LaunchSecurity, def.TPM, def.MemoryMB = vm.FirmwareUEFI, vm.LaunchSEV, vm.TPMNone, 256
		def.Memory = vm.Memory{Locked: true, HugePages: "2M"}
		def.CPU.NUMA = []vm.NUMACell{{CPUs: "0", MemoryMB: 256}}
	})
	facts, err := d.Facts(t.Context())
	require.NoError(t, err)
	if facts.Guest != nil && facts.Guest.SEV != nil && facts.Accelerator == hypervisor.AcceleratorKVM {
		reservePages(t, 128)
		answer := boots(t, d, guest, def, "dmesg | grep -i 'memory encryption'", func(domain *libvirtxml.Domain) { require.NotNil(t, domain.LaunchSecurity) })
		require.Contains(t, answer, "SEV")
		return
	}
	def.Boot = nil
	unfit := hypervisor.CheckHost(&def, facts)
	require.ErrorContains(t, unfit, "launchSecurity is sev")
	text, err := (&hypervisor.Template{Accelerator: facts.Accelerator, Host: facts}).GenerateXML(&def)
	require.NoError(t, err)
	refused := d.Define(t.Context(), text)
	require.ErrorContains(t, refused, "SEV", "libvirt has read it and refuses it for that alone")
	t.Skipf("SEV takes KVM on an AMD processor that has it: %v; libvirt: %v", unfit, refused)
}

// spareDevice names a PCI device of this machine that nobody uses; the test takes it away from its driver.
const spareDevice = "NOVACRON_TEST_PCI"

func TestHostDevicePassedThrough(t *testing.T) {
	address := os.Getenv(spareDevice)
	groups, err := filepath.Glob("/sys/kernel/iommu_groups/*")
	require.NoError(t, err)
	switch {
	case len(groups) == 0:
		t.Skip("passing a PCI device through takes an IOMMU, which this machine does not show. That libvirt accepts the definition is part of TestGoldenDefinitionsOnQEMU")
	case address == "":
		t.Skipf("set %s to the address of a PCI device that nobody uses, such as 0000:3b:00.0", spareDevice)
	}
	host, guest := loneHost(t)
	d := openHost(t, host, Options{})
	def := bootedGuest(func(def *vm.Definition) { def.Devices.HostDevices = []vm.HostDevice{{PCI: address}} })
	facts := needHost(t, d, &def)
	if facts.Accelerator != hypervisor.AcceleratorKVM {
		t.Skip("passing a PCI device through takes KVM, under which no guest runs here")
	}
	ids := func(name string) string {
		data, err := os.ReadFile(filepath.Join("/sys/bus/pci/devices", address, name))
		require.NoError(t, err)
		return strings.TrimSpace(string(data))
	}
	answer := boots(t, d, guest, def, "cat /sys/bus/pci/devices/*/vendor /sys/bus/pci/devices/*/device",
		func(domain *libvirtxml.Domain) { require.Len(t, domain.Devices.Hostdevs, 1) })
	require.Contains(t, answer, ids("vendor"))
	require.Contains(t, answer, ids("device"))
}
