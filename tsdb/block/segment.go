package block

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// segments writes the files of chunks one after another.
type segments struct {
	dir   string
	limit int64 // size of a file
	file  *os.File
	out   *bufio.Writer
	size  int64 // of the current file
	done  []File
	sum   [sumSize]byte
}

// put appends the parts as one record with their checksum, and returns its place.
func (s *segments) put(parts ...[]byte) (uint64, error) {
	need := int64(sumSize)
	for _, part := range parts {
		need += int64(len(part))
	}
	if need > s.limit-int64(len(segmentHeader)) {
		return 0, fmt.Errorf("a chunk of %d bytes: a segment takes %d", need, s.limit)
	}
	if s.file == nil || s.size+need > s.limit {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	place := placeOf(len(s.done), s.size)
	sum := uint32(0)
	for _, part := range parts {
		sum = crc32.Update(sum, castagnoli, part)
		if _, err := s.out.Write(part); err != nil {
			return 0, err
		}
	}
	binary.LittleEndian.PutUint32(s.sum[:], sum)
	_, err := s.out.Write(s.sum[:])
	s.size += need
	return place, err
}

// next begins a new file.
func (s *segments) next() error {
	if err := s.finish(); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(s.dir, segmentName(len(s.done))), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	s.file, s.size = file, int64(len(segmentHeader))
	if s.out == nil {
		s.out = bufio.NewWriterSize(file, 1<<20)
	}
	s.out.Reset(file)
	_, err = s.out.WriteString(segmentHeader)
	return err
}

// finish makes the current file durable.
func (s *segments) finish() error {
	if s.file == nil {
		return nil
	}
	err := s.out.Flush()
	if err == nil {
		err = s.file.Sync()
	}
	if closeErr := s.file.Close(); err == nil {
		err = closeErr
	}
	s.file = nil
	s.done = append(s.done, File{segmentName(len(s.done)), s.size})
	return err
}

// abandon closes without looking back.
func (s *segments) abandon() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}
