package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	sector      = 512
	partitionAt = 2048 // first sector of the only partition
	diskSectors = 96 << 20 / sector
)

// mbrCode is the boot code of Debian's package syslinux-common.
const mbrCode = "/usr/lib/syslinux/mbr/mbr.bin"

// BuildDisk puts the guest on a disk image that boots by BIOS: qcow2, one active FAT partition with a boot loader,
// kernel and initrd. It lies beside the guest's kernel and is built once.
func BuildDisk(ctx context.Context, g Guest) (path string, err error) {
	dir := filepath.Dir(g.Kernel)
	path = filepath.Join(dir, "disk.qcow2")
	unlock, err := lock(ctx, dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := canBuildDisk(); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(dir, "disk-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := buildDisk(ctx, tmp, g); err != nil {
		return "", err
	}
	return path, os.Rename(filepath.Join(tmp, "disk.qcow2"), path)
}

func canBuildDisk() error {
	for _, p := range []string{"syslinux", "mformat", "mcopy", "qemu-img"} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("lab: build a disk: %s is not installed: run deploy/setup.sh --lab", p)
		}
	}
	return nil
}

// buildDisk makes a raw disk step by step, then converts it. No step needs root or a loop device.
func buildDisk(ctx context.Context, dir string, g Guest) error {
	raw, config := filepath.Join(dir, "raw"), filepath.Join(dir, "syslinux.cfg")
	text := fmt.Sprintf("SERIAL 0 115200\nDEFAULT guest\nLABEL guest\nKERNEL /vmlinuz\nAPPEND initrd=/initrd.gz %s\n", KernelArgs)
	if err := errors.Join(os.WriteFile(config, []byte(text), 0o644), writeMBR(raw)); err != nil {
		return err
	}
	fat := fmt.Sprintf("%s@@%d", raw, partitionAt*sector)
	for _, argv := range [][]string{
		{"mformat", "-i", fat, "-T", fmt.Sprint(diskSectors - partitionAt), "-h", "16", "-s", "63", "-H", fmt.Sprint(partitionAt), "-v", "GUEST", "::"},
		{"mcopy", "-i", fat, g.Kernel, "::/vmlinuz"},
		{"mcopy", "-i", fat, g.Initrd, "::/initrd.gz"},
		{"mcopy", "-i", fat, config, "::/syslinux.cfg"},
		{"syslinux", "--install", "--offset", fmt.Sprint(partitionAt * sector), raw},
		{"qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, filepath.Join(dir, "disk.qcow2")},
	} {
		if _, err := run(ctx, "", argv...); err != nil {
			return err
		}
	}
	return nil
}

// writeMBR makes a disk whose first sector holds boot code and a table with one active FAT16 partition.
func writeMBR(file string) error {
	mbr := make([]byte, sector)
	code, err := os.ReadFile(mbrCode)
	if err != nil {
		return fmt.Errorf("lab: boot code: %w: run deploy/setup.sh --lab", err)
	}
	copy(mbr[:440], code)
	entry := mbr[446:462]
	entry[0], entry[4] = 0x80, 0x0e // active; FAT16 addressed by sector numbers
	binary.LittleEndian.PutUint32(entry[8:], partitionAt)
	binary.LittleEndian.PutUint32(entry[12:], diskSectors-partitionAt)
	mbr[510], mbr[511] = 0x55, 0xaa
	if err := os.WriteFile(file, mbr, 0o644); err != nil {
		return err
	}
	return os.Truncate(file, diskSectors*sector)
}
