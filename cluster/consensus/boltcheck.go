package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// The parts of bolt's file format that are checked, little-endian as on every platform that we build for: pages of
// one size, each with a 16-byte header (id uint64, flags uint16, count uint16, overflow uint32); pages 0 and 1 are
// meta pages; branch and leaf elements are 16 bytes and point at keys and values in their page.
const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	boltPageHeader = 16
	boltElement    = 16
	boltMetaSum    = 56 // bytes of a meta before its checksum
	boltNoFreelist = ^uint64(0)
	boltMaxDepth   = 64

	boltBranch   = 0x01
	boltLeaf     = 0x02
	boltFreelist = 0x10
	boltBucket   = 0x01 // flag of a leaf element
)

// boltMeta is what a meta page says.
type boltMeta struct {
	pageSize, root, freelist, pages, tx uint64
}

// boltCheck walks the tree of one file.
type boltCheck struct {
	r    io.ReaderAt
	meta boltMeta
	seen map[uint64]bool
}

// checkBolt verifies the structure of a bolt file: every page in use is in the file, used once, of the right kind, and
// its elements stay inside. bbolt itself would panic where nothing can recover. A missing or empty file is fine.
func checkBolt(path string) error {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("check the log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("check the log: %w", err)
	}
	if err := checkBoltPages(f, info.Size()); err != nil {
		return fmt.Errorf("%s: %w; restore this node from its peers: empty the directory and add it again", path, err)
	}
	return nil
}

func checkBoltPages(r io.ReaderAt, size int64) error {
	if size == 0 {
		return nil
	}
	meta, err := readBoltMeta(r)
	if err != nil {
		return err
	}
	if meta.pages > uint64(size)/meta.pageSize {
		return fmt.Errorf("%w: the file has %d bytes, its %d pages of %d need more: it was truncated", ErrCorrupt, size, meta.pages, meta.pageSize)
	}
	c := &boltCheck{r: r, meta: meta, seen: make(map[uint64]bool)}
	if meta.freelist != boltNoFreelist {
		if err := c.freelist(); err != nil {
			return err
		}
	}
	return c.walk(meta.root, 0)
}

// readBoltMeta picks the meta page as bbolt does: the valid one of the newest transaction.
func readBoltMeta(r io.ReaderAt) (boltMeta, error) {
	first, err0 := readBoltMetaAt(r, 0)
	size := uint64(os.Getpagesize())
	if err0 == nil {
		size = first.pageSize
	}
	second, err1 := readBoltMetaAt(r, int64(size))
	switch {
	case err0 != nil && err1 != nil:
		return boltMeta{}, fmt.Errorf("%w: no meta page is valid: %w", ErrCorrupt, err0)
	case err0 != nil, err1 == nil && second.tx > first.tx:
		first = second
	}
	if first.pageSize != size {
		return boltMeta{}, fmt.Errorf("%w: pages of %d and of %d bytes", ErrCorrupt, first.pageSize, size)
	}
	return first, nil
}

func readBoltMetaAt(r io.ReaderAt, at int64) (boltMeta, error) {
	var p [boltPageHeader + boltMetaSum + 8]byte
	if _, err := r.ReadAt(p[:], at); err != nil {
		return boltMeta{}, fmt.Errorf("meta page at %d: %w", at, err)
	}
	b := p[boltPageHeader:]
	h := fnv.New64a()
	h.Write(b[:boltMetaSum])
	magic, version := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	if sum := binary.LittleEndian.Uint64(b[boltMetaSum:]); magic != boltMagic || version != boltVersion || sum != h.Sum64() {
		return boltMeta{}, fmt.Errorf("meta page at %d: magic %08x, version %d, sum %016x, expected %08x, %d, %016x",
			at, magic, version, sum, boltMagic, boltVersion, h.Sum64())
	}
	m := boltMeta{
		pageSize: uint64(binary.LittleEndian.Uint32(b[8:])),
		root:     binary.LittleEndian.Uint64(b[16:]), freelist: binary.LittleEndian.Uint64(b[32:]),
		pages: binary.LittleEndian.Uint64(b[40:]), tx: binary.LittleEndian.Uint64(b[48:]),
	}
	if m.pageSize < 512 || m.pageSize > 1<<16 || m.pageSize&(m.pageSize-1) != 0 {
		return boltMeta{}, fmt.Errorf("meta page at %d: pages of %d bytes", at, m.pageSize)
	}
	return m, nil
}

// page reads page id with its overflow and marks it as used.
func (c *boltCheck) page(id uint64) (body []byte, flags, count uint16, err error) {
	fail := func(format string, args ...any) ([]byte, uint16, uint16, error) {
		return nil, 0, 0, fmt.Errorf("%w: page %d: %s", ErrCorrupt, id, fmt.Sprintf(format, args...))
	}
	if id < 2 || id >= c.meta.pages {
		return fail("not between 2 and %d", c.meta.pages)
	}
	head := make([]byte, boltPageHeader)
	if _, err := c.r.ReadAt(head, int64(id*c.meta.pageSize)); err != nil {
		return fail("%v", err)
	}
	overflow := uint64(binary.LittleEndian.Uint32(head[12:]))
	if self := binary.LittleEndian.Uint64(head); self != id {
		return fail("it calls itself %d", self)
	}
	if overflow >= c.meta.pages-id {
		return fail("%d overflow pages reach beyond page %d", overflow, c.meta.pages)
	}
	for i := id; i <= id+overflow; i++ {
		if c.seen[i] {
			return fail("page %d is used twice", i)
		}
		c.seen[i] = true
	}
	body = make([]byte, (overflow+1)*c.meta.pageSize)
	if _, err := c.r.ReadAt(body, int64(id*c.meta.pageSize)); err != nil && !errors.Is(err, io.EOF) {
		return fail("%v", err)
	}
	return body, binary.LittleEndian.Uint16(head[8:]), binary.LittleEndian.Uint16(head[10:]), nil
}

// freelist checks a stored freelist; a fresh file has one.
func (c *boltCheck) freelist() error {
	id := c.meta.freelist
	body, flags, count, err := c.page(id)
	if err != nil {
		return err
	}
	n, at := uint64(count), uint64(boltPageHeader)
	if count == 0xFFFF {
		n, at = binary.LittleEndian.Uint64(body[at:]), at+8
	}
	if flags != boltFreelist || n > (uint64(len(body))-at)/8 {
		return fmt.Errorf("%w: page %d: not a freelist of %d pages (flags %#x)", ErrCorrupt, id, n, flags)
	}
	for i := range n {
		if free := binary.LittleEndian.Uint64(body[at+8*i:]); free < 2 || free >= c.meta.pages {
			return fmt.Errorf("%w: page %d: free page %d is not in the file", ErrCorrupt, id, free)
		}
	}
	return nil
}

// walk checks the subtree at page id.
func (c *boltCheck) walk(id uint64, depth int) error {
	if depth > boltMaxDepth {
		return fmt.Errorf("%w: page %d: the tree is deeper than %d", ErrCorrupt, id, boltMaxDepth)
	}
	body, flags, count, err := c.page(id)
	if err != nil {
		return err
	}
	return c.elements(id, body, flags, count, depth)
}

// elements checks the elements of a page, or of a bucket that lies inside its parent's leaf.
func (c *boltCheck) elements(id uint64, body []byte, flags, count uint16, depth int) error {
	fail := func(i int, what string) error {
		return fmt.Errorf("%w: page %d element %d: %s", ErrCorrupt, id, i, what)
	}
	if flags != boltBranch && flags != boltLeaf {
		return fmt.Errorf("%w: page %d: kind %#x is neither branch nor leaf", ErrCorrupt, id, flags)
	}
	if flags == boltBranch && count == 0 {
		return fmt.Errorf("%w: page %d: an empty branch", ErrCorrupt, id)
	}
	if uint64(boltPageHeader)+uint64(count)*boltElement > uint64(len(body)) {
		return fmt.Errorf("%w: page %d: %d elements in %d bytes", ErrCorrupt, id, count, len(body))
	}
	var last []byte
	for i := range int(count) {
		at := boltPageHeader + i*boltElement
		key, value, ok := boltItem(body, at, flags)
		if !ok {
			return fail(i, "it reaches beyond its page")
		}
		if i > 0 && string(key) <= string(last) {
			return fail(i, "keys are not in order")
		}
		last = key
		var err error
		switch {
		case flags == boltBranch:
			err = c.walk(binary.LittleEndian.Uint64(body[at+8:]), depth+1)
		case binary.LittleEndian.Uint32(body[at:])&boltBucket != 0:
			err = c.bucket(id, value, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// boltItem cuts the key and the value of the element at offset at.
func boltItem(body []byte, at int, flags uint16) (key, value []byte, ok bool) {
	u32 := func(off int) uint64 { return uint64(binary.LittleEndian.Uint32(body[at+off:])) }
	pos, ksize, vsize := u32(0), u32(4), uint64(0)
	if flags == boltLeaf {
		pos, ksize, vsize = u32(4), u32(8), u32(12)
	}
	start := uint64(at) + pos
	if start+ksize+vsize > uint64(len(body)) || pos < boltElement {
		return nil, nil, false
	}
	return body[start : start+ksize], body[start+ksize : start+ksize+vsize], true
}

// bucket checks the bucket in a leaf's value: a root page, or zero and the elements in place.
func (c *boltCheck) bucket(id uint64, value []byte, depth int) error {
	if len(value) < 16 {
		return fmt.Errorf("%w: page %d: a bucket of %d bytes", ErrCorrupt, id, len(value))
	}
	if root := binary.LittleEndian.Uint64(value); root != 0 {
		return c.walk(root, depth+1)
	}
	inline := value[16:]
	if len(inline) < boltPageHeader {
		return fmt.Errorf("%w: page %d: an inline bucket of %d bytes", ErrCorrupt, id, len(value))
	}
	flags, count := binary.LittleEndian.Uint16(inline[8:]), binary.LittleEndian.Uint16(inline[10:])
	if flags != boltLeaf {
		return fmt.Errorf("%w: page %d: an inline bucket of kind %#x", ErrCorrupt, id, flags)
	}
	return c.elements(id, inline, flags, count, depth+1)
}
