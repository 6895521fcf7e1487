package diskimage

import (
	"bytes"
	"fmt"
)

const (
	// headLength covers every signature at the start of a file, footLength those at its end.
	headLength = 4096
	footLength = 512
)

// signature is how a foreign format shows itself.
type signature struct {
	name   string
	offset int
	magic  string
	// convert is qemu-img's name of it; empty means that it is a compressed file.
	convert string
}

func headSignatures() []signature {
	return []signature{
		{"a VMDK disk", 0, "KDMV", "vmdk"},
		{"a VMDK disk", 0, "COWD", "vmdk"},
		{"a VMDK descriptor, whose extents are other files", 0, "# Disk DescriptorFile", "vmdk"},
		{"a VMDK descriptor, whose extents are other files", 0, "# VMware", "vmdk"},
		{"a VHD disk", 0, "conectix", "vpc"},
		{"a VHDX disk", 0, "vhdxfile", "vhdx"},
		{"a VDI disk", 64, "\x7f\x10\xda\xbe", "vdi"},
		{"a QED disk", 0, "QED\x00", "qed"},
		{"a LUKS container", 0, "LUKS\xba\xbe", "luks"},
		{"a Parallels disk", 0, "WithoutFreeSpace", "parallels"},
		{"a Parallels disk", 0, "WithouFreSpacExt", "parallels"},
		{"a Bochs disk", 0, "Bochs Virtual HD Image", "bochs"},
		{"a cloop disk", 0, "#!/bin/sh\n#V2.0 Format", "cloop"},
		{"compressed by gzip", 0, "\x1f\x8b\x08", ""},
		{"compressed by xz", 0, "\xfd7zXZ\x00", ""},
		{"compressed by zstd", 0, "\x28\xb5\x2f\xfd", ""},
		{"compressed by bzip2", 0, "BZh", ""},
		{"a ZIP archive", 0, "PK\x03\x04", ""},
		{"a 7z archive", 0, "7z\xbc\xaf\x27\x1c", ""},
	}
}

func footSignatures() []signature {
	return []signature{
		{"a VHD disk", 0, "conectix", "vpc"},
		{"a DMG disk", 0, "koly", "dmg"},
	}
}

// foreign refuses a file that is neither qcow2 nor raw, naming its format and what to do about it.
func foreign(head, tail []byte) error {
	if err := match(head, headSignatures()); err != nil {
		return err
	}
	if len(tail) == footLength {
		return match(tail, footSignatures())
	}
	return nil
}

func match(data []byte, signatures []signature) error {
	for _, s := range signatures {
		if len(data) > s.offset && bytes.HasPrefix(data[s.offset:], []byte(s.magic)) {
			return s.refusal()
		}
	}
	return nil
}

func (s signature) refusal() error {
	if s.convert == "" {
		return fmt.Errorf("%w: it is %s; unpack a disk first, declare an initial RAM disk to be raw", ErrCompressed, s.name)
	}
	return fmt.Errorf("%w but %s; convert it with `qemu-img convert -f %s -O qcow2 OLD NEW.qcow2`", ErrFormat, s.name, s.convert)
}
