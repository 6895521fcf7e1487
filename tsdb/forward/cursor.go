package forward

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// position is a place in a queue, at the beginning of a frame.
type position struct {
	segment uint64
	offset  int64
}

func (p position) before(q position) bool {
	return p.segment < q.segment || p.segment == q.segment && p.offset < q.offset
}

// cursor keeps up to where a queue was acknowledged, in a file of two slots that are written in turn: a crash in the
// middle of one leaves the other. A slot is, in big endian, a uint64 that grows with each write, the segment and the
// offset as uint64, and the CRC32C of these.
type cursor struct {
	file *os.File
	turn uint64
	// flush brings a file into stable storage.
	flush func(fd int) error
	// synced is when the file was last in stable storage.
	synced time.Time
}

const (
	slotBytes = 28
	// cursorSync is the longest that an acknowledgement may stay out of stable storage: a crash of the machine sends
	// again what was acknowledged since.
	cursorSync = time.Second
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openCursor reads the file, or makes it, and tells what it says. What cannot be read is no acknowledgement: all that is
// kept is sent again.
func openCursor(path string) (c *cursor, at position, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, position{}, fmt.Errorf("opening the cursor of a queue: %w", err)
	}
	c = &cursor{file: file, flush: unix.Fdatasync}
	var slots [2 * slotBytes]byte
	_, _ = file.ReadAt(slots[:], 0) // a short file has fewer slots
	for i := range 2 {
		if turn, where, ok := readSlot(slots[i*slotBytes:]); ok && turn > c.turn {
			c.turn, at = turn, where
		}
	}
	return c, at, nil
}

func readSlot(slot []byte) (turn uint64, at position, ok bool) {
	sum := binary.BigEndian.Uint32(slot[slotBytes-4:])
	turn, at = binary.BigEndian.Uint64(slot), position{binary.BigEndian.Uint64(slot[8:]), int64(binary.BigEndian.Uint64(slot[16:]))}
	return turn, at, crc32.Checksum(slot[:slotBytes-4], castagnoli) == sum && turn > 0 && at.offset >= 0
}

// put keeps a position; a kill of the process right after it loses nothing.
func (c *cursor) put(at position, now time.Time) error {
	var slot [slotBytes]byte
	binary.BigEndian.PutUint64(slot[:], c.turn+1)
	binary.BigEndian.PutUint64(slot[8:], at.segment)
	binary.BigEndian.PutUint64(slot[16:], uint64(at.offset))
	binary.BigEndian.PutUint32(slot[slotBytes-4:], crc32.Checksum(slot[:slotBytes-4], castagnoli))
	if _, err := c.file.WriteAt(slot[:], int64((c.turn+1)%2)*slotBytes); err != nil {
		return fmt.Errorf("writing the cursor of a queue: %w", err)
	}
	c.turn++
	if now.Sub(c.synced) < cursorSync {
		return nil
	}
	c.synced = now
	return c.sync()
}

func (c *cursor) sync() error {
	if err := c.flush(int(c.file.Fd())); err != nil {
		return fmt.Errorf("syncing the cursor of a queue: %w", err)
	}
	return nil
}

func (c *cursor) close() error { return errors.Join(c.sync(), c.file.Close()) }
