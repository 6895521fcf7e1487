package itest_test

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"
)

// tightPool is a pool on a file system of its own, of a few blocks on disk until it is filled.
const tightPool = "tight"

// holdings prints all that a host holds of machines, one «== SECTION» after the other: see holdings.
//
//go:embed testdata/holdings.sh
var holdingsScript string

// fillScript takes all room of a file system by promises, then by bytes.
const fillScript = `at=0; n=$((4 << 30))
while [ $n -ge 4096 ]; do if fallocate -o $at -l $n "$1/ballast" 2>/dev/null; then at=$((at + n)); else n=$((n / 2)); fi; done
dd if=/dev/zero of="$1/crumbs" bs=1k 2>/dev/null; [ "$(df --output=avail "$1" | tail -n 1)" -eq 0 ]`

// tightDir is the folder on a host that the file system of the tight pool is mounted on.
func (f *fleet) tightDir(host string) string {
	f.t.Helper()
	h, err := f.Lab.Host(host)
	require.NoError(f.t, err)
	return filepath.Join(h.Dir(), tightPool)
}

// makeTight mounts a file system, which goes with the host, and has libvirt keep a pool on it.
func (f *fleet) makeTight(host string) {
	f.t.Helper()
	dir := f.tightDir(host)
	f.onMust(host, "sh", "-ec", `mkdir "$1"; truncate -s 8G "$1.img"; mkfs.ext4 -q -F -m 0 -N 1024 -O ^has_journal "$1.img"; mount -o loop "$1.img" "$1"; mkdir "$1/pool"`, "sh", dir)
	f.virsh(host, "pool-define-as", tightPool, "dir", "--target", dir+"/pool")
	f.virsh(host, "pool-autostart", tightPool)
	f.virsh(host, "pool-start", tightPool)
}

// fill takes the last byte of the tight pool; ease gives them back.
func (f *fleet) fill(host string) {
	f.t.Helper()
	f.onMust(host, "sh", "-c", fillScript, "sh", f.tightDir(host))
}

func (f *fleet) ease(host string) {
	f.t.Helper()
	f.onMust(host, "rm", "-f", f.tightDir(host)+"/ballast", f.tightDir(host)+"/crumbs")
}

// foreignDomain is a domain of somebody else, with a disk in a pool and perhaps firmware with variables.
type foreignDomain struct {
	name, uuid, pool, firmware, state string
}

func foreignDomains() []foreignDomain {
	return []foreignDomain{
		{name: "old-db", uuid: "6f1c2d3e-4b5a-4678-9abc-def012345601", pool: "default", state: "running"},
		{name: "old-mail", uuid: "6f1c2d3e-4b5a-4678-9abc-def012345602", pool: tightPool, state: "paused"},
		{name: "old-uefi", uuid: "6f1c2d3e-4b5a-4678-9abc-def012345603", pool: "default", state: "stopped", firmware: "efi"},
	}
}

func (d foreignDomain) xml(path string) string {
	machine, firmware := "pc", ""
	if d.firmware != "" {
		machine, firmware = "q35", fmt.Sprintf(" firmware=%q", d.firmware)
	}
	return fmt.Sprintf(`<domain type="qemu"><name>%s</name><uuid>%s</uuid><memory unit="MiB">32</memory><vcpu>1</vcpu>
<os%s><type arch="x86_64" machine=%q>hvm</type></os><features><acpi/></features><devices>
<disk type="file" device="disk"><driver name="qemu" type="raw"/><source file=%q/><target dev="vda" bus="virtio"/></disk>
<interface type="network"><source network="default"/><model type="virtio"/></interface></devices></domain>`, d.name, d.uuid, firmware, machine, path)
}

// settleStrangers puts domains and volumes of somebody else on a host, some with names much like ours.
func (f *fleet) settleStrangers(host string, uefi bool) {
	f.t.Helper()
	paths := map[string]string{"default": "/var/lib/libvirt/images", tightPool: f.tightDir(host) + "/pool"}
	for _, name := range []string{"nc-notes.raw", "nc-base-notes.raw", "nc-00000000.qcow2"} {
		for _, pool := range []string{"default", tightPool} {
			f.stock(host, pool, paths[pool], name)
		}
	}
	for _, d := range foreignDomains() {
		if d.firmware != "" && !uefi {
			continue
		}
		disk := f.stock(host, d.pool, paths[d.pool], d.name+".raw")
		file := f.file(d.name+".xml", []byte(d.xml(disk)))
		f.virsh(host, "define", file)
		f.virsh(host, "start", d.name)
		switch d.state {
		case "paused":
			f.virsh(host, "suspend", d.name)
		case "stopped":
			f.virsh(host, "destroy", d.name)
		}
	}
	f.virsh(host, "net-update", "default", "add", "ip-dhcp-host", `<host mac="52:54:00:00:00:99" ip="192.168.122.99"/>`, "--live", "--config")
}

// stock makes a volume with content and returns its path.
func (f *fleet) stock(host, pool, dir, name string) string {
	f.t.Helper()
	f.virsh(host, "vol-create-as", pool, name, "64K", "--format", "raw")
	f.virsh(host, "vol-upload", "--pool", pool, name, f.file(name, []byte(strings.Repeat(name, 1000))))
	return filepath.Join(dir, name)
}

// holdings is what a host holds, by section: domains, volumes with their bytes' hash, addresses, cards, processes, and what
// libvirt and the agent keep beside. It fails where something goes while it is looked at.
func (f *fleet) holdings(host string) (map[string]string, error) {
	out, err := f.on(host, "bash", "-c", holdingsScript, "holdings", f.tightDir(host)+"/pool", f.journalDir(host))
	held := map[string]string{}
	for section := range strings.SplitSeq(out, "== ") {
		title, text, _ := strings.Cut(section, "\n")
		held[title] = strings.TrimSpace(text)
	}
	delete(held, "")
	return held, err
}

func (f *fleet) journalDir(host string) string {
	return filepath.Join(f.DataDir(host), "journal")
}

// difference tells one section that is not as it was, or nothing.
func difference(before, now map[string]string) error {
	for title, text := range before {
		if now[title] != text {
			return &lacking{title + " without\n" + lacks(now[title], text) + "and with\n" + lacks(text, now[title])}
		}
	}
	return nil
}

// lacks gives the lines of b that a has not.
func lacks(a, b string) (lines string) {
	has := map[string]bool{}
	for line := range strings.Lines(a + "\n") {
		has[line] = true
	}
	for line := range strings.Lines(b + "\n") {
		if !has[line] {
			lines += line
		}
	}
	return lines
}

// hasUEFI tells whether the machine has firmware for such guests.
func hasUEFI() bool {
	found, _ := filepath.Glob("/usr/share/OVMF/OVMF_VARS*.fd") // the pattern is sound
	_, err := os.Stat("/usr/share/qemu/firmware")
	return len(found) > 0 && err == nil
}

// awaitNoFiles waits until libvirt keeps nothing of a machine: a daemon that was killed meanwhile clears away when it is back,
// and in its own time.
func (s *storm) awaitNoFiles(held map[string]map[string]string, m mishap) {
	s.t.Helper()
	left := func() error {
		if s.mentions(held, "files", m.uuid)+s.mentions(held, "files", m.vm) > 0 {
			return &lacking{fmt.Sprint(held)}
		}
		return nil
	}
	if left() == nil {
		return
	}
	s.tally["files that libvirt cleared away later"]++
	s.await("libvirt to clear away what it kept of "+m.vm, func() (err error) {
		for _, host := range s.hosts {
			if held[host], err = s.holdings(host); err != nil {
				return err
			}
		}
		return left()
	})
}

// mentions counts the lines of a section that have a word, on all hosts.
func (s *storm) mentions(held map[string]map[string]string, section, word string) (n int) {
	for _, host := range s.hosts {
		for line := range strings.Lines(held[host][section]) {
			if strings.Contains(line, word) {
				n++
			}
		}
	}
	return n
}
