package cloudwatch

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clock is AWS's time, of which its answers tell. Periods end and are final by it: by a clock that is ahead, periods
// would be final that AWS has not published yet. It is safe for concurrent use.
type clock struct {
	// offset is how far AWS is ahead of this host, in nanoseconds.
	offset atomic.Int64
}

// tolerance is below what answers tell: they are rounded to seconds and take a while.
const tolerance = 10 * time.Second

// note takes the time that an answer names, which it received at now.
func (c *clock) note(header http.Header, now time.Time) {
	at, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return
	}
	off := at.Add(time.Second / 2).Sub(now)
	if off.Abs() < tolerance {
		off = 0
	}
	c.offset.Store(int64(off))
}

func (c *clock) now() time.Time { return time.Now().UTC().Add(time.Duration(c.offset.Load())) }
