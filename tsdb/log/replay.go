package log

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Damage is a part of a segment that could not be read.
type Damage struct {
	Segment uint64
	Offset  int64
	Length  int64
	// Tail is damage with nothing whole behind it: what a crash leaves of a write that was never acknowledged.
	Tail  bool
	Cause error
}

func (d Damage) String() string {
	return fmt.Sprintf("log segment %d, offset %d: %d bytes lost: %v", d.Segment, d.Offset, d.Length, d.Cause)
}

// Segments lists the numbers of the segments in a folder in their order.
func Segments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing the log: %w", err)
	}
	var numbers []uint64
	for _, entry := range entries {
		if number, err := strconv.ParseUint(entry.Name(), 10, 64); err == nil && entry.Name() == name(number) {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func name(segment uint64) string { return fmt.Sprintf("%016d", segment) }

// Replay gives every record of a segment to use, in the order they were written; the record is valid until use
// returns. It tells what was damaged. Of a batch of several records that the segment ends with and that is not whole
// none is given: it was never acknowledged. An error of use ends it.
func Replay(dir string, segment uint64, use func(record []byte) error) ([]Damage, error) {
	src, unmap, err := mapped(filepath.Join(dir, name(segment)))
	if err != nil {
		return nil, fmt.Errorf("reading log segment %d: %w", segment, err)
	}
	defer unmap()
	r := replay{segment: segment, src: src, buf: make([]byte, 0, 1<<20)}
	for r.at < len(src) {
		record, took := r.next()
		if record != nil {
			if err := use(record); err != nil {
				return r.damages, fmt.Errorf("log segment %d, offset %d: %w", segment, r.at, err)
			}
		}
		r.at += took
	}
	return r.damages, setAside(dir, src, r.damages)
}

// replay is a segment that is read.
type replay struct {
	segment uint64
	src     []byte
	at      int
	// looked is the end of the batches that are whole, or of which what is whole is kept.
	looked  int
	buf     []byte
	damages []Damage
}

// next returns the record at the present place, nil where damage is, and how many bytes are done with.
func (r *replay) next() (record []byte, took int) {
	rest := r.src[r.at:]
	f, err := parseFrame(rest)
	if err == nil && f.count > 0 && r.at >= r.looked {
		left, known := batchLeft(rest, r.buf, f)
		if left > 0 {
			return nil, r.damage(left, fmt.Errorf("%w: a batch of %d records is not whole", errTorn, f.count))
		}
		r.looked = r.at + known
	}
	if err == nil {
		record, err = f.unpack(r.buf)
	}
	if err != nil {
		return nil, r.damage(nextFrame(rest, r.buf), err)
	}
	if cap(record) > cap(r.buf) {
		r.buf = record
	}
	return record, f.size
}

func (r *replay) damage(took int, cause error) int {
	r.damages = append(r.damages, Damage{r.segment, int64(r.at), int64(took), r.at+took == len(r.src), cause})
	return took
}

// setAside keeps the bytes of damages that are not the traces of a crash.
func setAside(dir string, src []byte, damages []Damage) error {
	for _, d := range damages {
		if d.Tail {
			continue
		}
		kept := filepath.Join(dir, fmt.Sprintf("%s-%d.damaged", name(d.Segment), d.Offset))
		if err := os.WriteFile(kept, src[d.Offset:d.Offset+d.Length], 0o600); err != nil {
			return fmt.Errorf("setting damaged log records aside: %w", err)
		}
	}
	return nil
}

// CutTail takes a damage that a segment ends with out of it and keeps its bytes beside it, in a file NUMBER-OFFSET.torn that
// goes with the segment: what a crash left is told once, and not again as damage when other segments have come behind it.
// Nobody may be writing to the segment.
func CutTail(dir string, d Damage) error {
	path := filepath.Join(dir, name(d.Segment))
	torn := make([]byte, d.Length)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !d.Tail || info.Size() != d.Offset+d.Length {
		return errors.Join(err, fmt.Errorf("%s: only the end can be cut off, not %d bytes at %d", path, d.Length, d.Offset))
	}
	if _, err := file.ReadAt(torn, d.Offset); err != nil {
		return err
	}
	if err := writeSynced(fmt.Sprintf("%s-%d%s", path, d.Offset, tornSuffix), torn); err != nil {
		return err
	}
	return errors.Join(syncDir(dir), file.Truncate(d.Offset), file.Sync())
}

const tornSuffix = ".torn"

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

// mapped maps a file into memory until unmap is called: segments are too large to be read as a whole.
func mapped(path string) (src []byte, unmap func(), err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return nil, func() {}, err
	}
	if src, err = unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE); err != nil {
		return nil, nil, err
	}
	return src, func() { _ = unix.Munmap(src) }, nil
}
