package blob

import (
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// Limits bound a store. The zero value takes the defaults.
type Limits struct {
	MaxSize int64 // bytes of one file, default 64 GiB
	Quota   int64 // bytes of all files, 0 for no quota
	MinFree int64 // bytes that stay free on the file system, default 256 MiB

	Stall    time.Duration // a source without progress for so long is given up, default 10 s
	Rounds   int           // how often Fetch goes through all sources, default 3
	Backoff  time.Duration // pause after the first round, doubled after each, up to a minute, default 500 ms
	Parallel int           // downloads at once, default 4
}

func (l Limits) withDefaults() Limits {
	set(&l.MaxSize, 64<<30)
	set(&l.MinFree, 256<<20)
	set(&l.Stall, 10*time.Second)
	set(&l.Rounds, 3)
	set(&l.Backoff, 500*time.Millisecond)
	set(&l.Parallel, 4)
	return l
}

// set gives an unset limit its default.
func set[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// pause returns how long to wait after a round: doubled each time, at most a minute, the upper half by chance so that
// many fetchers do not come back together.
func (l Limits) pause(round int) time.Duration {
	d := min(l.Backoff<<min(round, 16), time.Minute)
	return d/2 + rand.N(d/2+1)
}

// freeBytes returns what is left for the process on the file system of dir.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}
