package chunk

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// perItem runs a benchmark whose iterations treat n items each, and reports the processor time of an item: unlike
// time on the wall it does not depend on what else the machine does.
func perItem(b *testing.B, n int, unit string, f func(i int)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadTime(b)
	for i := range b.N {
		f(i)
	}
	b.ReportMetric(float64(threadTime(b)-start)/float64(b.N*n), unit)
	b.ReportMetric(0, "ns/op")
}

func threadTime(b *testing.B) time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
