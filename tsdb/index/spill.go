package index

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
)

// spill keeps what is written to it until it is read: the first bytes in memory, then all in a file without a name,
// which is gone with the process.
type spill struct {
	folder string
	buf    []byte
	file   *os.File
}

const maxSpillMemory = 8 << 20

func (s *spill) write(b []byte) error {
	s.buf = append(s.buf, b...)
	if len(s.buf) < maxSpillMemory {
		return nil
	}
	return s.flush()
}

func (s *spill) flush() error {
	if s.file == nil {
		f, err := os.CreateTemp(s.folder, "index-*.tmp")
		if err != nil {
			return err
		}
		if err := os.Remove(f.Name()); err != nil {
			return errors.Join(err, f.Close())
		}
		s.file = f
	}
	_, err := s.file.Write(s.buf)
	s.buf = s.buf[:0]
	return err
}

// reader reads all from the start. Nothing may be written until it is done.
func (s *spill) reader() (*bufio.Reader, error) {
	if s.file == nil {
		return bufio.NewReader(bytes.NewReader(s.buf)), nil
	}
	if err := s.flush(); err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(io.NewSectionReader(s.file, 0, 1<<62), 1<<20), nil
}

func (s *spill) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
