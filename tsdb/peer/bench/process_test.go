package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// spent is the time of the processor that this process, or with unix.RUSAGE_THREAD this thread, took.
func spent(who int) (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// process is this process as a part of a store.
type process struct{}

func (process) show() error                  { return nil }
func (process) here() bool                   { return true }
func (process) cost() (time.Duration, error) { return spent(unix.RUSAGE_SELF) }
func (process) peak() (int64, error)         { return peakOf(os.Getpid()) }

// peakOf is the most memory that a process had, in bytes.
func peakOf(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, err := strconv.ParseInt(number, 10, 64)
	return kib << 10, err
}

// costOf is the time of the processor that another process took. The kernel's stat counts it in hundredths of a second,
// which is too coarse for one answer; the threads' schedstat counts nanoseconds. Go's threads stay until the end.
func costOf(pid int) (sum time.Duration, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			return 0, err
		}
		number, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// load is how many processes wanted to run over the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
