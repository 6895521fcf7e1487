package index

import (
	"encoding/binary"
	"sort"
	"unsafe"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// Reader answers from the bytes of an index file, mostly a mapping of it, which must stay as they are for as long as it
// is used. But for View, nothing that it returns refers to them. All methods may be called at the same time.
//
// Damage makes every method fail with ErrCorrupt rather than panic, or, in texts and entries that are well-formed but
// not what was written, go unseen until Verify.
type Reader struct {
	file                                             []byte
	footer                                           footer
	texts, postings, names, values, records, offsets []byte
}

// Open looks at the footer of a file and at the sizes that it tells: it is quick, and does not check the rest.
func Open(file []byte) (*Reader, error) {
	f, err := readFooter(file)
	if err != nil {
		return nil, err
	}
	r := &Reader{file: file, footer: f}
	for s, part := range []*[]byte{&r.texts, &r.postings, &r.names, &r.values, &r.records, &r.offsets} {
		e := f.extents[s]
		*part = file[e.offset : e.offset+e.size]
	}
	return r, nil
}

// Len is the number of series; their ordinals are below it.
func (r *Reader) Len() int { return int(r.footer.series) }

// Series returns the labels of a series and a copy of what was kept about it, appended to entry. The builder is used
// for its memory and holds nothing else.
func (r *Reader) Series(builder *labels.ScratchBuilder, ordinal uint32, entry []byte) (labels.Labels, []byte, error) {
	lset, view, err := r.View(builder, ordinal)
	if err != nil {
		return lset, nil, err
	}
	return lset, append(entry, view...), nil
}

// View is Series with an entry that is no copy but lies in the file: it holds as long as that does.
func (r *Reader) View(builder *labels.ScratchBuilder, ordinal uint32) (labels.Labels, []byte, error) {
	record, err := r.record(ordinal)
	if err != nil {
		return labels.EmptyLabels(), nil, err
	}
	builder.Reset()
	pairs := r.pairsOf(record)
	for pairs.next() {
		name, value, err := r.pair(pairs.name, pairs.value)
		if err != nil {
			return labels.EmptyLabels(), nil, err
		}
		builder.Add(name, value)
	}
	if pairs.err != nil {
		return labels.EmptyLabels(), nil, pairs.err
	}
	return builder.Labels(), pairs.rest, nil
}

// record is the bytes of a series.
func (r *Reader) record(ordinal uint32) ([]byte, error) {
	if ordinal >= r.footer.series {
		return nil, corrupt("series %d is asked for, there are %d", ordinal, r.footer.series)
	}
	at := r.offsets[numberSize*uint64(ordinal):]
	from, to := number(at), number(at[numberSize:])
	if from > to || to > uint64(len(r.records)) {
		return nil, corrupt("series %d lies from %d to %d of %d bytes", ordinal, from, to, len(r.records))
	}
	return r.records[from:to], nil
}

// filePairs walks over the labels of a record: places of names and numbers of values. At the end, rest is the entry.
type filePairs struct {
	r           *Reader
	rest        []byte
	left        uint64
	after       uint64 // the least name that may follow
	name, value uint32
	err         error
}

func (r *Reader) pairsOf(record []byte) filePairs {
	p := filePairs{r: r, rest: record}
	p.left = p.uvarint()
	return p
}

func (p *filePairs) uvarint() uint64 {
	if len(p.rest) > 0 && p.rest[0] < 0x80 {
		v := p.rest[0]
		p.rest = p.rest[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(p.rest)
	if n <= 0 {
		p.err, p.left = corrupt("the record of a series is cut off"), 0
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *filePairs) next() bool {
	if p.left == 0 {
		return false
	}
	p.left--
	step := p.uvarint()
	at := p.uvarint()
	if p.err != nil {
		return false
	}
	names := uint64(p.r.footer.names)
	if step >= names || p.after+step >= names {
		p.err = corrupt("a series has label %d after label %d of %d", step, p.after, names)
		return false
	}
	p.name = uint32(p.after + step)
	p.after = uint64(p.name) + 1
	from, to, err := p.r.valuesOf(p.name)
	if err == nil && at >= uint64(to-from) {
		err = corrupt("a series has value %d of the %d of label %d", at, to-from, p.name)
	}
	p.value, p.err = from+uint32(at), err
	return p.err == nil
}

// valuesOf is the range of a name's values.
func (r *Reader) valuesOf(name uint32) (from, to uint32, err error) {
	at := r.names[nameSize*uint64(name):]
	from, to = binary.LittleEndian.Uint32(at[8:]), r.footer.values
	if name+1 < r.footer.names {
		to = binary.LittleEndian.Uint32(at[nameSize+8:])
	}
	if from > to || to > r.footer.values {
		return 0, 0, corrupt("label %d has the values from %d to %d of %d", name, from, to, r.footer.values)
	}
	return from, to, nil
}

func (r *Reader) pair(name, value uint32) (nameText, valueText string, err error) {
	if nameText, err = r.name(name); err != nil {
		return "", "", err
	}
	valueText, err = r.value(value)
	return nameText, valueText, err
}

// nameEnd is where the text of the name before a place ends.
func (r *Reader) nameEnd(place uint32) uint64 {
	if place == 0 {
		return 0
	}
	return binary.LittleEndian.Uint64(r.names[nameSize*uint64(place-1):])
}

// valueEnd is where the text of the value before a place ends; the first value follows the last name.
func (r *Reader) valueEnd(place uint32) uint64 {
	if place == 0 {
		return r.nameEnd(r.footer.names)
	}
	return number(r.values[valueSize*uint64(place-1):])
}

// name is the text of a name; like that of a value it is a view of the file.
func (r *Reader) name(place uint32) (string, error) {
	return r.text(r.nameEnd(place), r.nameEnd(place+1))
}

func (r *Reader) value(place uint32) (string, error) {
	return r.text(r.valueEnd(place), r.valueEnd(place+1))
}

func (r *Reader) text(from, to uint64) (string, error) {
	if from > to || to > uint64(len(r.texts)) {
		return "", corrupt("a text lies from %d to %d of %d bytes", from, to, len(r.texts))
	}
	return unsafe.String(unsafe.SliceData(r.texts[from:to]), int(to-from)), nil
}

// findName is the place of a name; false if no series has it.
func (r *Reader) findName(name string) (uint32, bool, error) {
	return find(0, r.footer.names, name, r.name)
}

// findValue is the place of a value of a name.
func (r *Reader) findValue(name uint32, value string) (uint32, bool, error) {
	from, to, err := r.valuesOf(name)
	if err != nil {
		return 0, false, err
	}
	return find(from, to, value, r.value)
}

// find looks for a text among sorted ones; without it the place is where it would belong.
func find(from, to uint32, wanted string, text func(uint32) (string, error)) (uint32, bool, error) {
	var bad error
	place := from + uint32(sort.Search(int(to-from), func(i int) bool {
		at, err := text(from + uint32(i))
		if err != nil {
			bad = err
		}
		return at >= wanted
	}))
	if bad != nil || place == to {
		return place, false, bad
	}
	at, err := text(place)
	return place, at == wanted, err
}

func (r *Reader) namePosting(name uint32) ([]uint32, *roaring.Bitmap, error) {
	return r.posting(r.nameRef(name))
}

func (r *Reader) valuePosting(value uint32) ([]uint32, *roaring.Bitmap, error) {
	return r.posting(r.valueRef(value))
}

func (r *Reader) nameRef(name uint32) uint64 {
	return binary.LittleEndian.Uint64(r.names[nameSize*uint64(name)+12:])
}

func (r *Reader) valueRef(value uint32) uint64 {
	return number(r.values[valueSize*uint64(value)+numberSize:])
}

// posting is the ids that a number leads to: a list, or a bitmap that is a view of the file.
func (r *Reader) posting(ref uint64) ([]uint32, *roaring.Bitmap, error) {
	series := uint64(r.footer.series)
	if ref&1 == 1 {
		if ref>>1 >= series {
			return nil, nil, corrupt("a posting of series %d of %d", ref>>1, series)
		}
		return []uint32{uint32(ref >> 1)}, nil, nil
	}
	n, form, body, err := r.postingBody(ref >> 1)
	if err != nil {
		return nil, nil, err
	}
	if form == mapPosting {
		bitmap, err := viewBitmap(body, n, series)
		return nil, bitmap, err
	}
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = binary.LittleEndian.Uint32(body[4*i:])
		if uint64(ids[i]) >= series || i > 0 && ids[i] <= ids[i-1] {
			return nil, nil, corrupt("a posting has series %d of %d at place %d", ids[i], series, i)
		}
	}
	return ids, nil, nil
}

func (r *Reader) postingBody(at uint64) (n uint64, form uint32, body []byte, err error) {
	if at > uint64(len(r.postings)) || uint64(len(r.postings))-at < 8 {
		return 0, 0, nil, corrupt("a posting at %d of %d bytes", at, len(r.postings))
	}
	b := r.postings[at:]
	n, form = uint64(binary.LittleEndian.Uint32(b)), binary.LittleEndian.Uint32(b[4:])&1
	size := uint64(binary.LittleEndian.Uint32(b[4:]) >> 1)
	if b = b[8:]; size > uint64(len(b)) || form == listPosting && size != 4*n {
		return 0, 0, nil, corrupt("a posting of %d series has %d bytes of %d", n, size, len(b))
	}
	return n, form, b[:size], nil
}
