package diskimage

import (
	"encoding/binary"
	"fmt"
	"io"
)

// The qcow2 header, after docs/interop/qcow2.txt of QEMU. Numbers are big-endian.
const (
	qcowMagic   = "QFI\xfb"
	lengthV2    = 72
	minLengthV3 = 104

	incompatDirty      = 1 << 0
	incompatCorrupt    = 1 << 1
	incompatData       = 1 << 2
	incompatCompress   = 1 << 3
	incompatExtendedL2 = 1 << 4
	incompatKnown      = incompatDirty | incompatCorrupt | incompatData | incompatCompress | incompatExtendedL2

	extEnd        = 0
	extData       = 0x44415441
	extEncryption = 0x0537be77
	// maxExtensions bounds a walk over extensions; QEMU itself writes four.
	maxExtensions = 64

	maxL1Bytes       = 32 << 20
	maxRefcountBytes = 8 << 20
	maxSnapshots     = 65536
	maxRefcountOrder = 6
)

const convertAway = "make it independent with `qemu-img convert -O qcow2 OLD NEW.qcow2`"

type qcow2 struct {
	version        uint32
	backingOffset  uint64
	backingLength  uint32
	clusterBits    uint32
	virtualSize    uint64
	cryptMethod    uint32
	l1Entries      uint32
	l1Offset       uint64
	refcountOffset uint64
	refcountTable  uint32
	snapshots      uint32
	incompatible   uint64
	refcountOrder  uint32
	length         uint32
}

func isQcow(head []byte) bool { return len(head) >= 4 && string(head[:4]) == qcowMagic }

func inspectQcow2(r io.ReaderAt, head []byte, size int64) (Info, error) {
	h, err := parseQcow2(head)
	if err != nil {
		return Info{}, err
	}
	if err := h.refuse(); err != nil {
		return Info{}, err
	}
	if err := h.consistent(size); err != nil {
		return Info{}, err
	}
	if err := h.extensions(r, size); err != nil {
		return Info{}, err
	}
	return checkSize(Info{Format: Qcow2, VirtualSize: h.virtualSize})
}

func parseQcow2(head []byte) (qcow2, error) {
	be := binary.BigEndian
	if len(head) < lengthV2 {
		return qcow2{}, corrupt("the header has %d bytes of %d", len(head), lengthV2)
	}
	h := qcow2{
		version: be.Uint32(head[4:]), backingOffset: be.Uint64(head[8:]), backingLength: be.Uint32(head[16:]),
		clusterBits: be.Uint32(head[20:]), virtualSize: be.Uint64(head[24:]), cryptMethod: be.Uint32(head[32:]),
		l1Entries: be.Uint32(head[36:]), l1Offset: be.Uint64(head[40:]), refcountOffset: be.Uint64(head[48:]),
		refcountTable: be.Uint32(head[56:]), snapshots: be.Uint32(head[60:]),
		refcountOrder: 4, length: lengthV2,
	}
	switch h.version {
	case 2:
		return h, nil
	case 3:
		return h.parseV3(head)
	default:
		return h, fmt.Errorf("%w: it is qcow version %d; %s", ErrFormat, h.version, convertAway)
	}
}

func (h qcow2) parseV3(head []byte) (qcow2, error) {
	if len(head) < minLengthV3 {
		return h, corrupt("the header has %d bytes of %d", len(head), minLengthV3)
	}
	be := binary.BigEndian
	h.incompatible = be.Uint64(head[72:])
	h.refcountOrder = be.Uint32(head[96:])
	h.length = be.Uint32(head[100:])
	return h, nil
}

// refuse names what makes a sound image unacceptable.
func (h qcow2) refuse() error {
	switch {
	case h.backingOffset != 0 || h.backingLength != 0:
		return fmt.Errorf("%w, which could be any file of the host; %s", ErrBackingFile, convertAway)
	case h.incompatible&incompatData != 0:
		return fmt.Errorf("%w; %s", ErrExternalData, convertAway)
	case h.cryptMethod != 0:
		return fmt.Errorf("%w by method %d; decrypt it with `qemu-img convert`", ErrEncrypted, h.cryptMethod)
	case h.incompatible&incompatCorrupt != 0:
		return fmt.Errorf("%w: it is marked as corrupt; repair it with `qemu-img check -r all`", ErrCorrupt)
	case h.incompatible&^uint64(incompatKnown) != 0:
		return fmt.Errorf("%w: it needs the unknown features %#x; %s", ErrFormat, h.incompatible&^uint64(incompatKnown), convertAway)
	}
	return nil
}

// consistent checks the header's numbers against each other and against the length of the file.
func (h qcow2) consistent(size int64) error {
	if h.clusterBits < 9 || h.clusterBits > 21 {
		return corrupt("clusters of 2^%d bytes, from 2^9 to 2^21 exist", h.clusterBits)
	}
	cluster := uint64(1) << h.clusterBits
	switch {
	case h.virtualSize > MaxVirtualSize:
		_, err := checkSize(Info{VirtualSize: h.virtualSize})
		return err
	case h.version == 3 && (h.length < minLengthV3 || h.length%8 != 0 || uint64(h.length) > cluster):
		return corrupt("a header of %d bytes", h.length)
	case h.refcountOrder > maxRefcountOrder:
		return corrupt("reference counts of 2^%d bits", h.refcountOrder)
	case h.snapshots > maxSnapshots:
		return corrupt("%d snapshots", h.snapshots)
	}
	if err := h.table("L1", h.l1Offset, uint64(h.l1Entries)*8, maxL1Bytes, size); err != nil {
		return err
	}
	if uint64(h.l1Entries) < h.wantedL1() {
		return corrupt("an L1 table of %d entries for %d bytes, %d are needed", h.l1Entries, h.virtualSize, h.wantedL1())
	}
	if h.refcountTable == 0 {
		return corrupt("no reference count table")
	}
	return h.table("reference count", h.refcountOffset, uint64(h.refcountTable)*cluster, maxRefcountBytes, size)
}

// wantedL1 is the number of L1 entries that the disk needs: each maps the clusters that one L2 table has room for.
func (h qcow2) wantedL1() uint64 {
	entry := uint32(3)
	if h.incompatible&incompatExtendedL2 != 0 {
		entry = 4
	}
	shift := h.clusterBits + h.clusterBits - entry
	return (h.virtualSize + (1 << shift) - 1) >> shift
}

// table checks that a table lies within the file, on a cluster's border, and is no larger than QEMU accepts.
func (h qcow2) table(name string, offset, length, limit uint64, size int64) error {
	cluster := uint64(1) << h.clusterBits
	switch {
	case length > limit:
		return corrupt("a %s table of %d bytes, at most %d are allowed", name, length, limit)
	case length > 0 && (offset == 0 || offset%cluster != 0):
		return corrupt("the %s table at %d", name, offset)
	case length > 0 && (offset > uint64(size) || length > uint64(size)-offset):
		return corrupt("the %s table ends at %d, the file at %d", name, offset+length, size)
	}
	return nil
}

// extensions walks over what follows the header, looking for references that the header itself does not show.
func (h qcow2) extensions(r io.ReaderAt, size int64) error {
	end := min(int64(1)<<h.clusterBits, size)
	at := int64(h.length)
	for range maxExtensions {
		if at+8 > end {
			return nil
		}
		ext, err := readAt(r, at, 8)
		if err != nil {
			return err
		}
		kind, length := binary.BigEndian.Uint32(ext), int64(binary.BigEndian.Uint32(ext[4:]))
		switch kind {
		case extEnd:
			return nil
		case extData:
			return fmt.Errorf("%w; %s", ErrExternalData, convertAway)
		case extEncryption:
			return fmt.Errorf("%w; decrypt it with `qemu-img convert`", ErrEncrypted)
		}
		if length > end-at-8 {
			return corrupt("a header extension of %d bytes at %d", length, at)
		}
		at += 8 + (length+7)&^7
	}
	return corrupt("more than %d header extensions", maxExtensions)
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s; upload it again, or repair it with `qemu-img check -r all`", ErrCorrupt, fmt.Sprintf(format, args...))
}
