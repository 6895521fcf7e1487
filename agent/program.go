package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// programSettles is how long after the start the agent gives back what only the start needed of the program.
	programSettles = 20 * time.Second
	// programRests is how often it gives back what it has not used since.
	programRests = 10 * time.Minute
)

// restProgram keeps small what an agent holds that does little: the heap that is free, and what of the program's file is
// mapped. What only the start and seldom work need would stay, and pages that are mapped are the last that a host short
// of memory takes back.
func (d *daemon) restProgram(ctx context.Context) {
	for wait := programSettles; ; wait = programRests {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		debug.FreeOSMemory()
		if err := unmapProgram(); err != nil {
			d.logger.Debug("the program's pages are not given back", "error", err)
			return
		}
	}
}

// unmapProgram unmaps the read-only pages of the running program, whose file they come back from when they are used, a
// few at a time.
func unmapProgram() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	spans, err := cleanSpans(maps, program)
	if err = errors.Join(err, maps.Close()); err != nil {
		return err
	}
	for _, s := range spans {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, s.start, s.end-s.start, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("madvise of %x-%x: %w", s.start, s.end, errno)
		}
	}
	return nil
}

// span is a range of addresses; the end is outside.
type span struct{ start, end uintptr }

// cleanSpans are the mappings of a file, of those that smaps of proc(5) lists, that cannot be written and have no page
// that differs from the file.
func cleanSpans(smaps io.Reader, file string) (clean []span, err error) {
	lines := bufio.NewScanner(smaps)
	var current span
	wanted := false
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"):
			wanted = len(fields) == 6 && fields[5] == file && strings.HasPrefix(fields[1], "r-")
			if current, err = parseSpan(fields[0]); err != nil {
				return nil, err
			}
		case wanted && len(fields) == 3 && fields[0] == "Anonymous:" && fields[1] == "0":
			clean = append(clean, current)
		}
	}
	return clean, lines.Err()
}

func parseSpan(text string) (span, error) {
	from, to, _ := strings.Cut(text, "-")
	start, err := strconv.ParseUint(from, 16, 64)
	if err != nil {
		return span{}, fmt.Errorf("mapping %.80q: %w", text, err)
	}
	end, err := strconv.ParseUint(to, 16, 64)
	if err != nil {
		return span{}, fmt.Errorf("mapping %.80q: %w", text, err)
	}
	return span{uintptr(start), uintptr(end)}, nil
}
