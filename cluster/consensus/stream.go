package consensus

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// A snapshot and a backup are the same stream of bytes, all numbers big-endian:
//
//	header   8 bytes "NOVASNAP", uint16 version (1), uint16 zero, uint32 zero, uint64 index
//	frames   uint32 length 1..65536, then so many bytes of state; any number of frames
//	trailer  uint32 zero, then SHA-256 of everything before the sum
//
// Nothing may follow the trailer.
const (
	streamMagic   = "NOVASNAP"
	streamVersion = 1
	streamHeader  = 24
	streamFrame   = 1 << 16
)

// streamWriter writes one stream; Close writes the trailer and leaves the underlying writer open.
type streamWriter struct {
	w   io.Writer
	sum hash.Hash
	buf []byte // 4 bytes for the length, then the frame so far
}

func newStreamWriter(w io.Writer, index uint64) (*streamWriter, error) {
	sum := sha256.New()
	s := &streamWriter{w: io.MultiWriter(w, sum), sum: sum, buf: make([]byte, 4, 4+streamFrame)}
	head := make([]byte, 0, streamHeader)
	head = append(head, streamMagic...)
	head = binary.BigEndian.AppendUint16(head, streamVersion)
	head = append(head, 0, 0, 0, 0, 0, 0)
	head = binary.BigEndian.AppendUint64(head, index)
	_, err := s.w.Write(head)
	return s, err
}

func (s *streamWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), cap(s.buf)-len(s.buf))
		s.buf = append(s.buf, p[:k]...)
		p, n = p[k:], n+k
		if len(s.buf) == cap(s.buf) {
			if err := s.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (s *streamWriter) flush() error {
	if len(s.buf) == 4 {
		return nil
	}
	binary.BigEndian.PutUint32(s.buf, uint32(len(s.buf)-4))
	_, err := s.w.Write(s.buf)
	s.buf = s.buf[:4]
	return err
}

func (s *streamWriter) Close() error {
	if err := s.flush(); err != nil {
		return err
	}
	if _, err := s.w.Write(make([]byte, 4)); err != nil {
		return err
	}
	_, err := s.w.Write(s.sum.Sum(nil))
	return err
}

// streamReader reads the state out of a stream. It reports io.EOF only after the trailer was verified.
type streamReader struct {
	// Index is the last log entry that the state contains.
	Index uint64

	r    io.Reader
	sum  hash.Hash
	left int // bytes of the current frame
	err  error
}

// newStreamReader reads the header. A newer version is ErrUpgrade, anything else unexpected ErrCorrupt.
func newStreamReader(r io.Reader) (*streamReader, error) {
	s := &streamReader{r: r, sum: sha256.New()}
	var head [streamHeader]byte
	if err := s.full(head[:], "header"); err != nil {
		return nil, err
	}
	if string(head[:8]) != streamMagic {
		return nil, fmt.Errorf("%w: not a snapshot: it starts with %q, expected %q", ErrCorrupt, head[:8], streamMagic)
	}
	if v := binary.BigEndian.Uint16(head[8:]); v != streamVersion {
		return nil, fmt.Errorf("%w: snapshot version %d, this release reads %d", ErrUpgrade, v, streamVersion)
	}
	if !bytes.Equal(head[10:16], make([]byte, 6)) {
		return nil, fmt.Errorf("%w: snapshot header has reserved bytes %x", ErrUpgrade, head[10:16])
	}
	s.Index = binary.BigEndian.Uint64(head[16:])
	return s, nil
}

// full fills p and adds it to the sum.
func (s *streamReader) full(p []byte, what string) error {
	_, err := io.ReadFull(s.r, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the snapshot ends within its %s", ErrCorrupt, what)
	}
	if err != nil {
		return fmt.Errorf("read snapshot %s: %w", what, err)
	}
	s.sum.Write(p)
	return nil
}

func (s *streamReader) Read(p []byte) (int, error) {
	for s.left == 0 && s.err == nil {
		s.err = s.nextFrame()
	}
	if s.err != nil {
		return 0, s.err
	}
	k := min(len(p), s.left)
	if err := s.full(p[:k], "frame"); err != nil {
		s.err = err
		return 0, err
	}
	s.left -= k
	return k, nil
}

// nextFrame reads a frame's length; at the trailer it returns io.EOF or the reason why the sum is wrong.
func (s *streamReader) nextFrame() error {
	var head [4]byte
	if err := s.full(head[:], "frame header"); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > streamFrame {
		return fmt.Errorf("%w: snapshot frame of %d bytes, the limit is %d", ErrCorrupt, n, streamFrame)
	}
	s.left = int(n)
	if n == 0 {
		return s.trailer()
	}
	return nil
}

func (s *streamReader) trailer() error {
	want := s.sum.Sum(nil)
	var got [sha256.Size]byte
	if err := s.full(got[:], "checksum"); err != nil {
		return err
	}
	if !bytes.Equal(got[:], want) {
		return fmt.Errorf("%w: snapshot checksum %x, expected %x", ErrCorrupt, want, got)
	}
	var one [1]byte
	switch n, err := io.ReadFull(s.r, one[:]); {
	case n > 0:
		return fmt.Errorf("%w: bytes follow the snapshot's end", ErrCorrupt)
	case err != io.EOF:
		return fmt.Errorf("read snapshot end: %w", err)
	}
	return io.EOF
}

// drain reads to the verified end.
func (s *streamReader) drain() error {
	_, err := io.Copy(io.Discard, s)
	return err
}

// verifyStream reads a whole stream and checks it.
func verifyStream(r io.Reader) (index uint64, err error) {
	s, err := newStreamReader(r)
	if err != nil {
		return 0, err
	}
	return s.Index, s.drain()
}
