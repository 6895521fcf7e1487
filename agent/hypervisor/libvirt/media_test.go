//go:build cgo && libvirt_dlopen

package libvirt

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/cloudinit"
)

// addISO adds an image of a CD with a label that a guest can read.
func (l labImages) addISO(t *testing.T, label string) {
	t.Helper()
	content, err := cloudinit.Seed(vm.Definition{Name: label, CloudInit: &vm.CloudInit{Hostname: label}})
	require.NoError(t, err)
	at := bytes.Index(content, []byte("cidata"))
	require.Positive(t, at)
	copy(content[at:], label)
	path := filepath.Join(t.TempDir(), label+".iso")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	l[label] = imageFile(t, path, vm.FormatRaw)
}

// shell asks the shell on a guest's serial console.
type shell struct {
	t       *testing.T
	console hypervisor.Console
}

// ask runs a command in the guest and returns what it prints.
func (s shell) ask(command string) string {
	s.t.Helper()
	// The echo of the command shows the sum, its output the result.
	_, err := s.console.Write([]byte(command + "; echo END-$((40+2))\n"))
	require.NoError(s.t, err)
	heard := make(chan []byte)
	go func() {
		defer close(heard)
		for all := []byte(nil); !bytes.Contains(all, []byte("END-42")); {
			buf := make([]byte, 4096)
			n, err := s.console.Read(buf)
			if err != nil {
				break
			}
			all = append(all, buf[:n]...)
			heard <- buf[:n]
		}
	}()
	var text []byte
	for silent := time.After(labPatience); ; {
		select {
		case part, more := <-heard:
			if text = append(text, part...); !more {
				return string(text)
			}
		case <-silent:
			require.Failf(s.t, "the guest's shell does not answer", "%s; it said %q", command, text)
		}
	}
}

// sees waits until the guest reads a label off its CD-ROM drive, or none.
func (s shell) sees(label string) {
	s.t.Helper()
	var heard string
	for range 60 {
		heard = s.ask("dd if=/dev/sr0 bs=1 skip=32808 count=6 2>/dev/null || echo NO''THING; usleep 200000")
		heard = strings.Join(strings.Fields(heard), " ")
		if strings.Contains(heard, label) {
			s.t.Logf("the guest sees: %s", heard)
			return
		}
	}
	require.Failf(s.t, "the guest does not see it", "%s in %s", label, heard)
}

func TestMediaSeenByARealGuest(t *testing.T) {
	host, guest := labHost(t)
	d := openHost(t, host, Options{Accelerator: hypervisor.AcceleratorQEMU})
	// On SCSI: the kernel of the test guest has no driver for SATA.
	dvd := []vm.Volume{{Name: "dvd", Device: vm.DeviceCDROM, Bus: "scsi", Pool: labPool, Format: "raw", ReadOnly: true, Image: "ISO-A1"}}
	for name, drives := range map[string][]vm.Volume{"drive from creation": dvd, "drive plugged in": nil} {
		t.Run(name, func(t *testing.T) {
			images := newLabImages(t, guest)
			for _, label := range []string{"ISO-A1", "ISO-B2", "ISO-C3"} {
				images.addISO(t, label)
			}
			m := labManager(t, d, t.TempDir(), nil)
			order := labOrder(images)
			order.Definition.Name, order.Definition.Volumes = strings.ReplaceAll(name, " ", "-"), drives
			id, err := m.Create(t.Context(), order)
			require.NoError(t, err)
			machine := &labMachine{t: t, m: m, id: id, images: images}

			guest := machine.boot()
			if len(drives) > 0 {
				guest.sees("ISO-A1")
			}
			machine.put("ISO-B2", true)
			guest.sees("ISO-B2")
			machine.put("ISO-C3", true)
			guest.sees("ISO-C3")
			guest.ask("mount -t iso9660 -o ro /dev/sr0 /mnt") // which locks the drive
			begin := time.Now()
			require.ErrorContains(t, machine.try("", true, false), "use force")
			t.Logf("refused after %v", time.Since(begin).Round(time.Millisecond))
			require.Equal(t, "ISO-C3", machine.definition().Drives()[0].Medium.Image, "it still lies there")
			require.NoError(t, machine.try("", true, true))
			guest.ask("umount -l /mnt")
			guest.sees("NOTHING")
			require.NoError(t, guest.console.Close())

			require.NoError(t, m.Stop(t.Context(), id, hypervisor.StopOptions{Force: true}))
			machine.put("ISO-A1", false)
			require.NoError(t, m.Start(t.Context(), id))
			if len(drives) == 0 {
				machine.boot().sees("ISO-A1")
			}
			seen, err := d.Domain(t.Context(), id)
			require.NoError(t, err)
			differences, err := hypervisor.Differences(machine.definition(), seen.XML)
			require.NoError(t, err)
			require.Empty(t, differences)
			require.NoError(t, m.Delete(t.Context(), id, hypervisor.DeleteOptions{Force: true}))
			require.Empty(t, leftovers(t, d))
		})
	}
}

// TestISOOfAStoppedMachineOnQEMU: libvirt takes the definition with a drive that was not there, and keeps all else, the firmware
// among it; the machine has run before, so that what libvirt filled in meanwhile is taken again.
func TestISOOfAStoppedMachineOnQEMU(t *testing.T) {
	host, guest := labHost(t)
	d := openHost(t, host, Options{Accelerator: hypervisor.AcceleratorQEMU})
	images := newLabImages(t, guest)
	images.addISO(t, "ISO-A1")
	no := false
	for name, firmware := range map[string]vm.Definition{
		"bios": {}, "uefi": {Firmware: vm.FirmwareUEFI, TPM: vm.TPMNone}, "windows": {OSType: "windows", SecureBoot: &no, TPM: vm.TPMNone},
	} {
		t.Run(name, func(t *testing.T) {
			m := labManager(t, d, t.TempDir(), nil)
			def := firmware
			def.Name, def.UUID, def.CPUs, def.MemoryMB, def.DiskGB, def.Pool = name, uuid.NewString(), 1, 256, 1, labPool
			def.CloudInit, def.NetworkInterfaces = &vm.CloudInit{UserData: "#cloud-config\n{}\n"}, []vm.NetworkInterface{{MAC: "52:54:00:aa:bb:cd"}}
			def = vm.Normalise(def, vm.Defaults{})
			needHost(t, d, &def)
			id, err := m.Create(t.Context(), hypervisor.CreateSpec{Definition: &def, Owner: hypervisor.Owner{ClusterID: "lab", Epoch: 1}, Images: images, Start: true})
			require.NoError(t, err)
			require.NoError(t, m.Stop(t.Context(), id, hypervisor.StopOptions{Force: true}))
			machine := &labMachine{t: t, m: m, id: id, images: images}
			before, err := d.Domain(t.Context(), id)
			require.NoError(t, err)
			machine.put("ISO-A1", false)
			after, err := d.Domain(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, addresses(before.XML), addresses(after.XML), "the guest finds everything where it was")
			require.Contains(t, after.XML, "<boot order='2'/>", "the guest starts from it when its disk does not start")
			require.NotContains(t, after.XML, "<boot dev=")
			require.NoError(t, m.Start(t.Context(), id))
			machine.put("", true)
			require.NoError(t, m.Delete(t.Context(), id, hypervisor.DeleteOptions{Force: true}))
			require.Empty(t, leftovers(t, d))
		})
	}
}

// addresses are the places of the devices on the PCI bus, in their order.
func addresses(text string) (all []string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, "<address type='pci'") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

type labMachine struct {
	t      *testing.T
	m      *hypervisor.Manager
	id     string
	images labImages
}

func (l *labMachine) definition() *vm.Definition {
	l.t.Helper()
	seen, err := l.m.Observe(l.t.Context())
	require.NoError(l.t, err)
	require.Len(l.t, seen, 1)
	return seen[0].Definition
}

// put changes what lies in the drive; empty is nothing.
func (l *labMachine) put(image string, runs bool) {
	l.t.Helper()
	begin := time.Now()
	require.NoError(l.t, l.try(image, runs, false))
	l.t.Logf("%q in the drive after %v", image, time.Since(begin).Round(time.Millisecond))
	found := l.definition().Drives()
	require.Equal(l.t, image, found[0].Medium.Image)
}

func (l *labMachine) try(image string, runs, force bool) error {
	l.t.Helper()
	next, err := vm.WithoutMedium(*l.definition(), "")
	if image != "" {
		next, err = vm.WithMedium(*l.definition(), "", vm.Medium{Image: image}, runs)
	}
	require.NoError(l.t, err)
	return l.m.ChangeMedia(l.t.Context(), hypervisor.MediaSpec{Definition: &next, Images: l.images, Force: force})
}

// boot waits for the guest and opens its shell.
func (l *labMachine) boot() shell {
	l.t.Helper()
	console, err := l.m.Console(l.t.Context(), l.id)
	require.NoError(l.t, err)
	requireGreeting(l.t, console)
	console, err = l.m.Console(l.t.Context(), l.id)
	require.NoError(l.t, err)
	l.t.Cleanup(func() { _ = console.Close() }) // a second time does no harm
	return shell{l.t, console}
}
