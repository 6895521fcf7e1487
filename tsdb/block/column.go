package block

import (
	"bytes"
	"container/list"
	"encoding/binary"
	"errors"
	"hash/maphash"
)

// A time column is stored once for all series of a scrape: its length, then count, first time, span and the column.

// columnHead is what stands before the times.
type columnHead struct {
	min, max int64
	count    int
}

func (h columnHead) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(h.count))
	dst = binary.AppendVarint(dst, h.min)
	return binary.AppendUvarint(dst, uint64(h.max-h.min))
}

var errColumn = errors.New("the time column is cut short")

// readColumn takes head and times apart.
func readColumn(body []byte) (columnHead, []byte, error) {
	in := reader{b: body}
	var h columnHead
	h.count = in.count()
	h.min = in.varint()
	h.max = h.min + int64(in.uvarint())
	if in.bad || h.max < h.min {
		return h, nil, errColumn
	}
	return h, in.b, nil
}

// columnsKept bounds the bytes of time columns that a writer remembers.
const columnsKept = 32 << 20

// columns remembers the time columns written last, to write none twice.
type columns struct {
	seed  maphash.Seed
	byKey map[uint64]*list.Element
	order list.List // of written, the one used last in front
	bytes int
	limit int
}

type written struct {
	key   uint64
	head  columnHead
	times []byte
	place uint64
}

func newColumns(limit int) *columns {
	return &columns{seed: maphash.MakeSeed(), byKey: map[uint64]*list.Element{}, limit: limit}
}

// find returns the place of an equal column, and its key for keep.
func (c *columns) find(head columnHead, times []byte) (place, key uint64, ok bool) {
	key = maphash.Bytes(c.seed, times) ^ uint64(head.min)*0x9e3779b97f4a7c15
	at := c.byKey[key]
	if at == nil {
		return 0, key, false
	}
	w := at.Value.(*written)
	if w.head != head || !bytes.Equal(w.times, times) {
		return 0, key, false
	}
	c.order.MoveToFront(at)
	return w.place, key, true
}

// keep remembers a column in place of those not used for longest.
func (c *columns) keep(key uint64, head columnHead, times []byte, place uint64) {
	if old := c.byKey[key]; old != nil {
		c.forget(old)
	}
	c.byKey[key] = c.order.PushFront(&written{key, head, bytes.Clone(times), place})
	for c.bytes += len(times); c.bytes > c.limit; {
		c.forget(c.order.Back())
	}
}

func (c *columns) forget(at *list.Element) {
	w := c.order.Remove(at).(*written)
	c.bytes -= len(w.times)
	delete(c.byKey, w.key)
}
