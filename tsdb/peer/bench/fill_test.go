package bench

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// filling feeds a store with the samples of a workload, some scrapes at a time: those are made, and then stored.
type filling struct {
	st      store
	w       *workload
	j       job
	groups  []scrapes // of hosts
	next    int       // scrape
	samples int
	outside time.Duration // of the processor, for making samples
	wall    time.Duration // of the clock, for storing them
}

func newFilling(st store, w *workload, j job) *filling {
	f := &filling{st: st, w: w, j: j, groups: make([]scrapes, w.hosts())}
	for h := range f.groups {
		f.groups[h] = scrapes{host: h, times: make([]int64, j.Group), values: make([][]float64, j.Group)}
	}
	return f
}

// now is the time of the next scrape.
func (f *filling) now() int64 { return f.w.start + int64(f.next)*interval }

// step stores the next scrapes of all hosts.
func (f *filling) step() error {
	if err := f.prepare(); err != nil {
		return err
	}
	begin := time.Now()
	defer func() { f.wall += time.Since(begin) }()
	if f.j.Writers > 1 {
		return f.storeTogether()
	}
	for h := range f.groups {
		if err := f.st.append(&f.groups[h]); err != nil {
			return err
		}
	}
	if f.next%f.j.Upkeep == 0 {
		return f.st.maintain(f.now())
	}
	return nil
}

// prepare makes samples, and takes the time that its thread needs for it.
func (f *filling) prepare() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := spent(unix.RUSAGE_THREAD)
	if err != nil {
		return err
	}
	for h := range f.groups {
		g := &f.groups[h]
		for i := range g.times {
			g.times[i], g.values[i] = f.w.scrape(h, f.next+i, g.values[i])
		}
		if err := f.st.prepare(g); err != nil {
			return err
		}
	}
	f.next += f.j.Group
	f.samples += f.j.Group * len(f.w.state)
	after, err := spent(unix.RUSAGE_THREAD)
	f.outside += after - before
	return err
}

// storeTogether has the writers share the hosts, while what was due before is done.
func (f *filling) storeTogether() error {
	var all sync.WaitGroup
	errs := make(chan error, f.j.Writers+1)
	all.Go(func() { errs <- f.st.maintain(f.now() - int64(f.j.Group)*interval) })
	for writer := range f.j.Writers {
		all.Go(func() {
			for h := writer; h < len(f.groups); h += f.j.Writers {
				if err := f.st.append(&f.groups[h]); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// all stores everything, and returns the time of the processor that it took.
func (f *filling) all() (time.Duration, error) {
	before, err := f.st.cost()
	if err != nil {
		return 0, err
	}
	for f.next < f.j.Scrapes {
		if err := f.step(); err != nil {
			return 0, err
		}
	}
	after, err := f.st.cost()
	if f.st.here() {
		before += f.outside
	}
	return after - before, err
}
