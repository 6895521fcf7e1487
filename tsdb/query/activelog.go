package query

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"time"
	"unicode/utf8"
)

// The active log is a file of slots, one for each query that may run at one time. A slot is 1,024 bytes:
//
//	0  4  CRC32C of the bytes from 4 up to the end of the text
//	4  8  when the query started, milliseconds since 1970
//	12 2  length of the text
//	14    the text, cut to what fits
//
// An empty slot is all zeros. Integers are little endian. Slots are written with one call and not fsynced: they outlive the
// process, which is what a query can kill, and not the machine.
const (
	slotSize   = 1024
	slotHeader = 14
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Running is a query that runs, or ran when the process died.
type Running struct {
	Query   string // cut to about 1,000 bytes
	Started time.Time
}

// activeLog bounds how many queries run, and keeps their texts in a file. It is PromQL's QueryTracker.
type activeLog struct {
	file       *os.File // nil: no file is kept
	free       chan int
	unfinished []Running
	now        func() time.Time
}

// openActiveLog reads what was running, and starts empty. Without a path it only bounds.
func openActiveLog(path string, slots int, now func() time.Time) (*activeLog, error) {
	l := &activeLog{free: make(chan int, slots), now: now}
	for i := range slots {
		l.free <- i
	}
	if path == "" {
		return l, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open the log of active queries: %w", err)
	}
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("open the log of active queries: %w", err)
	}
	l.unfinished = parseSlots(old)
	if l.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, fmt.Errorf("open the log of active queries: %w", err)
	}
	return l, nil
}

// parseSlots reads the slots of a file; torn and empty ones are passed over.
func parseSlots(file []byte) (running []Running) {
	for len(file) > 0 {
		slot := file[:min(slotSize, len(file))]
		file = file[len(slot):]
		if len(slot) < slotHeader {
			continue
		}
		end := slotHeader + int(binary.LittleEndian.Uint16(slot[12:]))
		if end == slotHeader || end > len(slot) || crc32.Checksum(slot[4:end], castagnoli) != binary.LittleEndian.Uint32(slot) {
			continue
		}
		started := time.UnixMilli(int64(binary.LittleEndian.Uint64(slot[4:])))
		running = append(running, Running{string(bytes.Clone(slot[slotHeader:end])), started})
	}
	return running
}

func appendSlot(dst []byte, r Running) []byte {
	text := r.Query
	if most := slotSize - slotHeader; len(text) > most {
		for !utf8.RuneStart(text[most]) {
			most--
		}
		text = text[:most]
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Started.UnixMilli()))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(text)))
	dst = append(dst, text...)
	binary.LittleEndian.PutUint32(dst[start:], crc32.Checksum(dst[start+4:], castagnoli))
	return dst
}

// GetMaxConcurrent is how many queries may run at one time.
func (l *activeLog) GetMaxConcurrent() int { return cap(l.free) }

// Insert waits for a free slot and writes the query to it.
func (l *activeLog) Insert(ctx context.Context, query string) (int, error) {
	select {
	case slot := <-l.free:
		l.write(slot, appendSlot(make([]byte, 0, slotSize), Running{query, l.now()}))
		return slot, nil
	case <-ctx.Done():
		n := strconv.Itoa(cap(l.free))
		return 0, &LimitError{"concurrent", n + " others running until time was up", n, "ask again later, or raise the limit"}
	}
}

// Delete empties a slot.
func (l *activeLog) Delete(slot int) {
	l.write(slot, make([]byte, slotHeader))
	l.free <- slot
}

// write fills a slot. A query runs even where its text cannot be kept, as on a full disk.
func (l *activeLog) write(slot int, text []byte) {
	if l.file != nil {
		_, _ = l.file.WriteAt(text, int64(slot)*slotSize)
	}
}

// Close removes the file: nothing is running.
func (l *activeLog) Close() error {
	if l.file == nil {
		return nil
	}
	if err := os.Remove(l.file.Name()); err != nil {
		_ = l.file.Close()
		return fmt.Errorf("close the log of active queries: %w", err)
	}
	return l.file.Close()
}
