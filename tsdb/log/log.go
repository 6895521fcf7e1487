package log

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrFull says that the disk has no room for a record; the log is as before and may be tried again.
var ErrFull = errors.New("no room for the log")

// ErrClosed is what a closed log answers.
var ErrClosed = errors.New("the log is closed")

// Options are the choices of a log.
type Options struct {
	// Sync is the longest that an acknowledged record may stay out of stable storage. 0 acknowledges a record once it
	// is there: records that arrive while the disk works share the next sync.
	Sync time.Duration
	// Synced is told how long each sync took and what came of it; may be nil.
	Synced func(took time.Duration, err error)
}

// Log appends records to segments. Its methods may be called at the same time.
type Log struct {
	dir     string
	options Options

	mu      sync.Mutex
	file    *os.File
	segment uint64
	size    int64
	written uint64 // records and batches written so far
	closed  bool
	// broken is an error after which the segment's end is unknown: the next record begins a new one.
	broken error
	// behind are segments that were ended by Turn since the last sync; unnamed says that the name of the newest one may
	// not be in stable storage.
	behind  []*os.File
	unnamed bool

	syncing sync.Mutex
	// Guarded by syncing: records up to synced are in stable storage, but for those in (lostFrom, lostTo], whose sync
	// failed. A later sync that succeeds says nothing about them: the kernel has forgotten the pages.
	synced, lostFrom, lostTo uint64
	lost                     error

	done chan struct{}
	idle sync.WaitGroup
}

// Open begins a new segment behind those in the folder, which it makes where it is missing and brings into stable
// storage where it is not.
func Open(dir string, options Options) (*Log, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the log's folder: %w", err)
	}
	segments, err := Segments(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{dir: dir, options: options, done: make(chan struct{})}
	for _, segment := range segments {
		// The process that wrote it may have been killed before it synced what it had acknowledged.
		if err := syncSegment(dir, segment); err != nil {
			return nil, err
		}
		l.segment = segment
	}
	if err := l.begin(); err != nil {
		return nil, err
	}
	if options.Sync > 0 {
		l.idle.Go(l.syncNowAndThen)
	}
	return l, nil
}

// begin opens the next segment; the caller holds mu.
func (l *Log) begin() error {
	file, next, err := l.createNext()
	if err != nil {
		return err
	}
	if err := syncDir(l.dir); err != nil {
		return errors.Join(full(err), file.Close(), os.Remove(file.Name()))
	}
	l.file, l.segment, l.size, l.broken = file, next, 0, nil
	return nil
}

// createNext makes the file of the next segment; the caller holds mu.
func (l *Log) createNext() (file *os.File, next uint64, err error) {
	next = l.segment + 1
	file, err = create(l.dir, next)
	for errors.Is(err, fs.ErrExist) { // left by a begin that failed
		next++
		file, err = create(l.dir, next)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("beginning log segment %d: %w", next, full(err))
	}
	return file, next, nil
}

func create(dir string, segment uint64) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, name(segment)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

// Segment is the number of the segment that records go to, and its size in bytes.
func (l *Log) Segment() (number uint64, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segment, l.size
}

var frames = sync.Pool{New: func() any { return new([]byte) }}

// Append writes a record, and where Options.Sync is 0 waits until it is in stable storage. It returns the segment that
// the record is in: after a failure of the disk that is a new one. After an error the record is not in the log, except
// after a failed sync, when nobody can know.
func (l *Log) Append(record []byte) (segment uint64, err error) {
	buf := frames.Get().(*[]byte)
	defer frames.Put(buf)
	frame, err := appendFrame((*buf)[:0], record)
	if err != nil {
		return 0, err
	}
	*buf = frame
	return l.append(frame)
}

// AppendBatch writes the records of a batch as Append writes one: after an error none of them is in the log.
func (l *Log) AppendBatch(b *Batch) (segment uint64, err error) {
	if len(b.starts) == 0 {
		return 0, errors.New("a batch without a record")
	}
	return l.append(b.finish())
}

func (l *Log) append(frames []byte) (segment uint64, err error) {
	segment, number, err := l.write(frames)
	if err != nil || l.options.Sync > 0 {
		return segment, err
	}
	return segment, l.syncTo(number)
}

// write gives frames to the operating system and returns their segment and their number.
func (l *Log) write(frames []byte) (segment, number uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, 0, ErrClosed
	}
	if l.broken != nil {
		if err := l.rotate(); err != nil {
			return 0, 0, fmt.Errorf("after «%w»: %w", l.broken, err)
		}
	}
	if _, err := l.file.WriteAt(frames, l.size); err != nil {
		// What was written of it would be taken for damage: cut it off, or leave this segment behind.
		if cut := l.file.Truncate(l.size); cut != nil {
			l.broken = cut
		}
		return 0, 0, fmt.Errorf("writing to log segment %d at %d: %w", l.segment, l.size, full(err))
	}
	l.size += int64(len(frames))
	l.written++
	return l.segment, l.written, nil
}

// syncTo returns when record number is in stable storage. One caller syncs for all that wait.
func (l *Log) syncTo(number uint64) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if l.lostFrom < number && number <= l.lostTo {
		return l.lost
	}
	if l.synced >= number {
		return nil
	}
	l.mu.Lock()
	u := l.takeUnsynced()
	l.mu.Unlock()
	if err := l.syncAll(u); err != nil {
		l.mu.Lock()
		l.broken = err
		l.mu.Unlock()
		return l.lose(u.written, err)
	}
	l.synced = u.written
	return nil
}

// lose notes that the records behind the last sync, up to written, may be gone; the caller holds syncing.
func (l *Log) lose(written uint64, err error) error {
	if l.lostTo == 0 {
		l.lostFrom = l.synced
	}
	l.lostTo, l.synced, l.lost = written, written, err
	return err
}

func (l *Log) sync(file *os.File) error {
	start := time.Now()
	err := unix.Fdatasync(int(file.Fd()))
	if l.options.Synced != nil {
		l.options.Synced(time.Since(start), err)
	}
	return err
}

// syncNowAndThen keeps Options.Sync. A failure is told by Options.Synced and begins a new segment.
func (l *Log) syncNowAndThen() {
	ticker := time.NewTicker(l.options.Sync)
	defer ticker.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-ticker.C:
			_ = l.Sync()
		}
	}
}

// Sync returns when everything written before is in stable storage.
func (l *Log) Sync() error {
	l.mu.Lock()
	written := l.written
	l.mu.Unlock()
	return l.syncTo(written)
}

// Rotate ends the segment and begins the next, whose number it returns.
func (l *Log) Rotate() (uint64, error) {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, ErrClosed
	}
	if err := l.syncAll(l.takeUnsynced()); err != nil {
		l.broken = err
		return 0, l.lose(l.written, err)
	}
	l.synced = l.written
	if err := l.rotate(); err != nil {
		return 0, err
	}
	return l.segment, nil
}

// rotate goes to the next segment; the caller holds mu.
func (l *Log) rotate() error {
	old := l.file
	if err := l.begin(); err != nil {
		return err
	}
	return old.Close()
}

// Remove deletes a segment that records no longer go to.
func (l *Log) Remove(segment uint64) error {
	if current, _ := l.Segment(); segment >= current {
		return fmt.Errorf("log segment %d is still written to (the current one is %d)", segment, current)
	}
	path := filepath.Join(l.dir, name(segment))
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing log segment %d: %w", segment, err)
	}
	torn, err := filepath.Glob(path + "-*" + tornSuffix)
	for _, tail := range torn {
		err = errors.Join(err, os.Remove(tail))
	}
	return errors.Join(err, syncDir(l.dir))
}

// Close syncs and closes the log.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	close(l.done)
	l.idle.Wait()
	errs := []error{l.Sync(), l.file.Close()}
	for _, file := range l.behind { // where all of it was in stable storage before
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

func syncSegment(dir string, segment uint64) error {
	file, err := os.Open(filepath.Join(dir, name(segment)))
	if err != nil {
		return fmt.Errorf("opening log segment %d: %w", segment, err)
	}
	if err := errors.Join(unix.Fdatasync(int(file.Fd())), file.Close()); err != nil {
		return fmt.Errorf("syncing log segment %d: %w", segment, err)
	}
	return nil
}

func syncDir(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("opening the log's folder: %w", err)
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// full makes the errors of a full disk, of an exhausted quota and of a limit on the size of files ErrFull.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
