package durable

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"os"
	"slices"
)

// saveImage writes the head to a file that the next Open reads in place of the log. The log is closed and in stable
// storage, and nobody reads or writes the head any more.
func (s *Store) saveImage() (err error) {
	at, err := s.position()
	if err != nil {
		return err
	}
	path := s.path(imageName)
	file, err := os.OpenFile(path+".unfinished", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := &imageWriter{out: bufio.NewWriterSize(file, 1<<20)}
	w.store(s, &at)
	if err := errors.Join(w.err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// imageWriter writes sections. After the first failure it writes nothing and keeps the error.
type imageWriter struct {
	out      *bufio.Writer
	section  []byte // of the letter kind, behind room for its frame
	kind     byte
	sections uint64
	err      error
}

// begin goes on to sections of a letter.
func (w *imageWriter) begin(kind byte) {
	w.end()
	w.kind = kind
	w.section = append(w.section[:0], make([]byte, imageFrame)...)
}

// step ends the section, and begins another of its letter, once it is large.
func (w *imageWriter) step() {
	if len(w.section) >= imageSection {
		w.begin(w.kind)
	}
}

// end writes the section, unless it is empty.
func (w *imageWriter) end() {
	if len(w.section) > imageFrame {
		w.put(w.kind, w.section[:imageFrame], w.section[imageFrame:])
	}
	w.section = w.section[:0]
}

// put writes a section whose bytes lie elsewhere; frame is room for what leads it.
func (w *imageWriter) put(kind byte, frame, bytes []byte) {
	frame[0] = kind
	binary.LittleEndian.PutUint32(frame[1:], uint32(len(bytes)))
	sum := crc32.Update(crc32.Checksum(frame[:imageFrame], castagnoli), castagnoli, bytes)
	w.write(frame[:imageFrame])
	w.write(bytes)
	w.write(binary.LittleEndian.AppendUint32(nil, sum))
	w.sections++
}

func (w *imageWriter) write(bytes []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(bytes)
	}
}

// store writes everything.
func (w *imageWriter) store(s *Store, at *position) {
	_, w.err = io.WriteString(w.out, imageMagic)
	w.begin(imagePosition)
	w.section = at.append(w.section)
	ordinals := w.series(s)
	w.spans(s.head)
	w.lates(s.head.lates, ordinals)
	w.starts(s.head.starts, ordinals)
	w.histograms(s.head.histograms, ordinals)
	w.exemplars(s.exemplars, ordinals)
	w.begin(imageEnd)
	w.section = binary.AppendUvarint(w.section, w.sections)
	w.end()
	if w.err == nil {
		w.err = w.out.Flush()
	}
}

// ordinals are the places of series in the image, by their ids, one more than each; 0 is none.
type ordinals []uint32

// of is the place of a series that is there.
func (o ordinals) of(id uint32) uint64 { return uint64(o[id] - 1) }

// series writes the pairs of all labels, and the series in the order of their ids, and returns their places.
func (w *imageWriter) series(s *Store) ordinals {
	w.begin(imagePairs)
	var places []uint32 // of pairs, by their numbers
	n := uint32(0)
	s.index.Pairs(func(pair, series uint32, name, value string) {
		for uint32(len(places)) <= pair {
			places = append(places, 0)
		}
		places[pair] = n
		n++
		w.section = binary.AppendUvarint(appendText(appendText(w.section, name), value), uint64(series))
		w.step()
	})
	w.begin(imageSeries)
	pages := s.head.pages.list()
	found, ordinal := make(ordinals, len(pages)*pageSize), uint32(0)
	var pairs []uint32
	var known bool
	for number, p := range pages {
		for i := range p.series {
			id := uint32(number*pageSize + i)
			if pairs, known = s.index.AppendPairs(pairs[:0], id); !known || p.generation[i] == 0 {
				continue
			}
			w.section = binary.AppendUvarint(w.section, uint64(len(pairs)))
			for _, pair := range pairs {
				w.section = binary.AppendUvarint(w.section, uint64(places[pair]))
			}
			w.section = s.head.appendSeries(w.section, &p.series[i])
			w.step()
			ordinal++
			found[id] = ordinal
		}
	}
	return found
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// appendSeries appends what the head knows of a series: its marks, the state of the chunk that grows, the place of the
// newest ended one; and where the chunk has samples, the end of its span and its bytes.
func (h *head) appendSeries(dst []byte, s *series) []byte {
	dst = append(dst, byte(s.marks))
	dst = s.open.AppendState(dst)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.done))
	if s.open.Len() == 0 {
		return dst
	}
	dst = binary.AppendVarint(dst, s.until)
	flushed := s.open.Flushed()
	dst = append(dst, s.class, byte(flushed/8))
	return append(dst, h.buffers[s.class].at(s.buffer)[:flushed]...)
}

// spans writes the memory of the spans, in order of time.
func (w *imageWriter) spans(h *head) {
	for _, sp := range h.spans {
		held := *sp.held.Load()
		w.begin(imageSpan)
		w.section = binary.AppendUvarint(w.section, uint64(sp.number))
		w.section = binary.AppendVarint(w.section, sp.start)
		w.section = binary.AppendUvarint(w.section, uint64(len(held)))
		w.end()
		for i, slab := range held {
			if i == len(held)-1 {
				slab = slab[:sp.used]
			}
			w.put(imageMemory, make([]byte, imageFrame), slab)
		}
	}
}

func (w *imageWriter) lates(l *lates, places ordinals) {
	w.begin(imageLate)
	for _, id := range slices.Sorted(maps.Keys(l.series)) {
		s := l.series[id]
		s.sort()
		w.section = binary.AppendUvarint(w.section, places.of(id))
		w.section = binary.AppendUvarint(w.section, uint64(len(s.points)))
		for _, p := range s.points {
			w.section = binary.AppendVarint(w.section, p.t)
			w.section = binary.LittleEndian.AppendUint64(w.section, math.Float64bits(p.v))
		}
		w.step()
	}
}

func (w *imageWriter) starts(st *startStore, places ordinals) {
	w.begin(imageStarts)
	for _, id := range slices.Sorted(maps.Keys(st.series)) {
		s := st.series[id]
		w.section = binary.AppendUvarint(w.section, places.of(id))
		w.section = binary.AppendVarint(w.section, s.newest)
		w.section = binary.AppendUvarint(w.section, uint64(len(s.steps)))
		for _, step := range s.steps {
			w.section = binary.AppendVarint(w.section, step.t)
			w.section = binary.AppendVarint(w.section, step.start)
		}
		w.step()
	}
}

// histograms writes them as the log does, some at a time.
func (w *imageWriter) histograms(st *histogramStore, places ordinals) {
	w.begin(imageHistograms)
	for _, id := range slices.Sorted(maps.Keys(st.series)) {
		for points := range slices.Chunk(st.series[id], 64) {
			logged := make([]loggedHistogram, len(points))
			for i, p := range points {
				logged[i] = loggedHistogram{places[id] - 1, p}
			}
			w.section = appendHistograms(w.section, logged)
			w.step()
		}
	}
}

// exemplars writes the ring, oldest first.
func (w *imageWriter) exemplars(r *exemplarRing, places ordinals) {
	w.begin(imageExemplars)
	for list := range slices.Chunk(r.ordered(), 64) {
		for i, e := range list {
			list[i].id = places[e.id] - 1
		}
		w.section = appendExemplars(w.section, list)
		w.step()
	}
}

// closeImage saves the image where that is of use, and says where it fails: the log has everything.
func (s *Store) closeImage() {
	if err := s.saveImage(); err != nil {
		s.options.Log.Warn("the head was not saved: opening the store again reads the log, which takes longer", "error", fmt.Errorf("saving %s: %w", s.path(imageName), err))
	}
}
