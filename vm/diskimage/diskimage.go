// Package diskimage looks at the header of a disk image and refuses what a host must not open: references to other files, foreign formats, absurd sizes.
package diskimage

import (
	"errors"
	"fmt"
	"io"
)

// Why an image is refused. Errors of Inspect wrap one of these and say what to do.
var (
	// ErrBackingFile is an image on top of another file, which could be any file of the host.
	ErrBackingFile = errors.New("the image refers to a backing file")
	// ErrExternalData is an image whose data lie in another file.
	ErrExternalData = errors.New("the image keeps its data in another file")
	// ErrFormat is a format that hosts do not open.
	ErrFormat = errors.New("the format is neither qcow2 nor raw")
	// ErrCompressed is a file that may be a compressed disk, which hosts do not open, or an initial RAM disk, which is
	// raw to them: only who declares it knows. It wraps ErrFormat.
	ErrCompressed = fmt.Errorf("%w", ErrFormat)
	// ErrEncrypted is an image that nobody here has the key of.
	ErrEncrypted = errors.New("the image is encrypted")
	// ErrTooLarge is an image whose disk is larger than MaxVirtualSize.
	ErrTooLarge = errors.New("the disk in the image is too large")
	// ErrCorrupt is a header that contradicts itself or the length of the file.
	ErrCorrupt = errors.New("the image is damaged or cut short")
)

// Format is the format of an image.
type Format string

// The formats that are accepted.
const (
	Qcow2 Format = "qcow2"
	Raw   Format = "raw"
)

// MaxVirtualSize is the largest disk in bytes: 64 TiB.
const MaxVirtualSize = 64 << 40

// Info is what the header of an acceptable image tells.
type Info struct {
	Format Format
	// VirtualSize is the size of the disk in bytes, as a guest sees it.
	VirtualSize uint64
}

// Inspect reads the header of an image of size bytes. What is not known to be another format is raw. Nothing that the
// image refers to is opened.
func Inspect(r io.ReaderAt, size int64) (Info, error) {
	if size <= 0 {
		return Info{}, fmt.Errorf("%w: it is empty; upload it again", ErrCorrupt)
	}
	head, err := readAt(r, 0, min(size, headLength))
	if err != nil {
		return Info{}, fmt.Errorf("read the image's header: %w", err)
	}
	if isQcow(head) {
		return inspectQcow2(r, head, size)
	}
	tail, err := readAt(r, max(0, size-footLength), min(size, footLength))
	if err != nil {
		return Info{}, fmt.Errorf("read the image's end: %w", err)
	}
	if err := foreign(head, tail); err != nil {
		return Info{}, err
	}
	return checkSize(Info{Format: Raw, VirtualSize: uint64(size)})
}

func checkSize(info Info) (Info, error) {
	if info.VirtualSize > MaxVirtualSize {
		return Info{}, fmt.Errorf("%w: %d bytes, at most %d are allowed; shrink it with `qemu-img resize --shrink`",
			ErrTooLarge, info.VirtualSize, int64(MaxVirtualSize))
	}
	return info, nil
}

func readAt(r io.ReaderAt, offset, length int64) ([]byte, error) {
	buf := make([]byte, length)
	n, err := r.ReadAt(buf, offset)
	if n == len(buf) {
		return buf, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %d bytes at %d are missing; upload it again", ErrCorrupt, length, offset)
	}
	return nil, err
}
