package lab

import (
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"path"
	"strings"
)

// guestPackages are the packages that a guest is made of, beside the kernel: the libraries are those that the guest
// agent loads.
func guestPackages() []string {
	return []string{"busybox-static", "qemu-guest-agent", "libglib2.0-0", "liburing2", "libudev1", "libnuma1", "libpcre2-8-0", "libc6", "libcap2"}
}

// guestModules are the drivers of a guest; what they depend on is found in them.
func guestModules() []string {
	return []string{
		"virtio_pci", "virtio_net", "virtio_blk", "virtio_console", "virtio_balloon", "virtio_rng",
		"virtio_scsi", "sd_mod", "sr_mod", "isofs", "button", "evdev",
	}
}

// rootModules are what it takes to read the disk of another system, which gets no drivers but these and the guest's.
func rootModules() []string { return []string{"crc32c_generic", "ext4"} }

func kernelPackage(ctx context.Context) (string, error) {
	const meta = "linux-image-cloud-amd64"
	name, err := dependency(ctx, meta, "linux-image-")
	if err == nil {
		return name, nil
	}
	// Package lists may be missing altogether; packageFiles knows how to get them.
	if _, err := packageFiles(ctx, []string{meta}); err != nil {
		return "", err
	}
	return dependency(ctx, meta, "linux-image-")
}

// busybox is where its package has the program; a hook for another maker of initial root file systems has the same name.
const busybox = "bin/busybox"

// wanted picks the files of packages that a guest may need.
func wanted(name string) bool {
	base := path.Base(name)
	return name == busybox || base == "qemu-ga" || base == "modules.builtin" ||
		strings.HasPrefix(name, "boot/vmlinuz-") || strings.HasSuffix(base, ".ko") || strings.Contains(base, ".so")
}

// writeGuest composes kernel and initial root file system from the packages' files.
func (t tree) writeGuest(g Guest) error {
	kernel, err := t.kernel()
	if err != nil {
		return err
	}
	if err := os.WriteFile(g.Kernel, kernel, 0o644); err != nil {
		return err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if err := t.writeRoot(&archive{w: z}); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(g.Initrd, b.Bytes(), 0o644)
}

func (t tree) kernel() ([]byte, error) {
	for name, data := range t.files {
		if strings.HasPrefix(name, "boot/vmlinuz-") {
			return data, nil
		}
	}
	return nil, fmt.Errorf("lab: the kernel package holds no boot/vmlinuz-…")
}

func (t tree) writeRoot(a *archive) error {
	for _, d := range []string{"bin", "sbin", "dev", "proc", "sys", "run", "tmp", "root", "mnt", "var/log"} {
		a.dir(d)
	}
	a.link("var/run", "/run")
	a.charDevice("dev/console", 0o600, 5, 1) // the kernel opens it for the first process before /dev is mounted
	a.charDevice("dev/null", 0o666, 1, 3)
	for _, add := range []func(*archive) error{t.addScripts, t.addModules, t.addPrograms} {
		if err := add(a); err != nil {
			return err
		}
	}
	return a.close()
}

func (t tree) addScripts(a *archive) error {
	places := map[string]string{"init": "init", "udhcpc": "etc/udhcpc", "poweroff": "etc/acpi/PWRF/00000080", "shutdown": "sbin/shutdown"}
	for _, from := range []string{"init", "udhcpc", "poweroff", "shutdown"} {
		b, err := guestFiles.ReadFile("guest/" + from)
		if err != nil {
			return err
		}
		a.file(places[from], 0o755, b)
	}
	return nil
}

// addPrograms adds busybox and the guest agent with every library that it loads, directly or not.
func (t tree) addPrograms(a *archive) error {
	shell, err := t.open(busybox)
	if err != nil {
		return err
	}
	agent, err := t.byBase("qemu-ga")
	if err != nil {
		return err
	}
	a.file(busybox, 0o755, shell)
	a.file("usr/sbin/qemu-ga", 0o755, agent)
	loader, err := t.byBase("ld-linux-x86-64.so.2")
	if err != nil {
		return err
	}
	a.file("lib64/ld-linux-x86-64.so.2", 0o755, loader)
	return t.addLibraries(a, agent, map[string]bool{"ld-linux-x86-64.so.2": true})
}

func (t tree) addLibraries(a *archive, program []byte, have map[string]bool) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return err
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, lib := range needed {
		if have[lib] {
			continue
		}
		have[lib] = true
		data, err := t.byBase(lib)
		if err != nil {
			return fmt.Errorf("%w, which the guest agent loads", err)
		}
		a.file("lib/x86_64-linux-gnu/"+lib, 0o755, data)
		if err := t.addLibraries(a, data, have); err != nil {
			return err
		}
	}
	return nil
}
