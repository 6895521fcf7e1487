package index

import (
	"encoding/binary"
	"math/bits"

	"github.com/RoaringBitmap/roaring/v2"
)

// The form of a serialised bitmap: https://github.com/RoaringBitmap/RoaringFormatSpec.
const (
	cookieRuns   = 12347
	cookieNoRuns = 12346
	minOffsets   = 4    // containers from which a bitmap with runs has a table of offsets
	maxArray     = 4096 // ids from which a container is one bit for each id there can be
	denseBytes   = 8192
)

// viewBitmap reads a bitmap in place, after it has looked at all of it: n ids in order, all below limit. The library
// trusts what it reads, so that a damaged bitmap would make it panic later or count for ever.
func viewBitmap(b []byte, n, limit uint64) (*roaring.Bitmap, error) {
	c := bitmapChecker{rest: b, key: -1}
	c.all()
	if c.bad != "" || len(c.rest) > 0 || c.n != n || c.last >= limit {
		return nil, corrupt("a bitmap of %d bytes with %d ids up to %d, expected %d ids below %d: %s", len(b), c.n, c.last, n, limit, c.bad)
	}
	bitmap := roaring.New()
	if _, err := bitmap.FromUnsafeBytes(b); err != nil {
		return nil, corrupt("%w", err)
	}
	return bitmap, nil
}

// bitmapChecker walks over a serialised bitmap and says what is bad, once.
type bitmapChecker struct {
	rest []byte
	key  int    // of the container before
	n    uint64 // ids so far
	last uint64 // the largest id so far
	bad  string
}

func (c *bitmapChecker) fail(what string) {
	if c.bad == "" {
		c.bad = what
	}
	c.rest = nil
}

func (c *bitmapChecker) take(n int) []byte {
	if n > len(c.rest) {
		c.fail("it is cut off")
		return nil
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b
}

func (c *bitmapChecker) all() {
	head := c.take(4)
	if c.bad != "" {
		return
	}
	cookie := binary.LittleEndian.Uint32(head)
	size, runs := 0, []byte(nil)
	switch {
	case cookie&0xffff == cookieRuns:
		size = int(cookie>>16) + 1
		runs = c.take((size + 7) / 8)
	case cookie == cookieNoRuns:
		count := c.take(4)
		if c.bad != "" {
			return
		}
		size = int(min(binary.LittleEndian.Uint32(count), 1<<16+1))
	}
	if size == 0 || size > 1<<16 {
		c.fail("its header is wrong")
		return
	}
	keys := c.take(4 * size)
	if runs == nil || size >= minOffsets {
		c.take(4 * size)
	}
	for i := 0; i < size && c.bad == ""; i++ {
		key, count := int(binary.LittleEndian.Uint16(keys[4*i:])), int(binary.LittleEndian.Uint16(keys[4*i+2:]))+1
		c.container(key, count, runs != nil && runs[i/8]&(1<<(i%8)) != 0)
	}
}

func (c *bitmapChecker) container(key, count int, runs bool) {
	if key <= c.key {
		c.fail("its keys are in no order")
		return
	}
	c.key = key
	var last int
	switch {
	case runs:
		last = c.runs(count)
	case count > maxArray:
		last = c.dense(count)
	default:
		last = c.array(count)
	}
	c.n += uint64(count)
	c.last = uint64(key)<<16 | uint64(max(last, 0))
}

func (c *bitmapChecker) array(count int) (last int) {
	last = -1
	for b := c.take(2 * count); len(b) > 0; b = b[2:] {
		id := int(binary.LittleEndian.Uint16(b))
		if id <= last {
			c.fail("its ids are in no order")
		}
		last = id
	}
	return last
}

func (c *bitmapChecker) dense(count int) (last int) {
	for i, b := 0, c.take(denseBytes); len(b) > 0; i, b = i+64, b[8:] {
		word := binary.LittleEndian.Uint64(b)
		count -= bits.OnesCount64(word)
		if word != 0 {
			last = i + 63 - bits.LeadingZeros64(word)
		}
	}
	if count != 0 {
		c.fail("it counts wrongly")
	}
	return last
}

func (c *bitmapChecker) runs(count int) (last int) {
	head := c.take(2)
	if c.bad != "" {
		return 0
	}
	last = -2 // so that the first run may begin at 0
	for b := c.take(4 * int(binary.LittleEndian.Uint16(head))); len(b) > 0; b = b[4:] {
		start, more := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
		if start <= last+1 || start+more >= 1<<16 {
			c.fail("its runs are in no order")
		}
		last = start + more
		count -= more + 1
	}
	if count != 0 {
		c.fail("it counts wrongly")
	}
	return last
}
