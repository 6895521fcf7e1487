package sim

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/novacron/novacron/tsdb/federate/wire"
)

// Options describe the hosts.
type Options struct {
	Workload Workload
	// Network connects them; nil is TCP.
	Network Network
	// Dir keeps the shards, as agents do; empty keeps them in memory.
	Dir string
	// Authority makes the certificates of the hosts.
	Authority Authority
	// Patience is that of ControllerOptions, for hosts that call others.
	Patience time.Duration
}

// Hosts are the shards, each behind a server of its own.
type Hosts struct {
	all []*Host
}

// Start makes the hosts, stores their samples and serves them. Without an error the caller must Close.
func Start(ctx context.Context, options Options) (*Hosts, error) {
	if options.Network == nil {
		options.Network = TCP{}
	}
	h := &Hosts{all: make([]*Host, options.Workload.Hosts)}
	errs := make([]error, len(h.all))
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for n := range next {
				h.all[n], errs[n] = startHost(ctx, options, n)
			}
		})
	}
	for n := range h.all {
		next <- n
	}
	close(next)
	workers.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// Host is one by its number.
func (h *Hosts) Host(n int) *Host { return h.all[n] }

// List is where the hosts are.
func (h *Hosts) List() []wire.Host {
	list := make([]wire.Host, len(h.all))
	for n, host := range h.all {
		list[n] = wire.Host{Name: host.Name, URL: host.URL}
	}
	return list
}

// Close ends all hosts.
func (h *Hosts) Close() error {
	var errs []error
	for _, host := range h.all {
		if host != nil {
			errs = append(errs, host.Close())
		}
	}
	return errors.Join(errs...)
}

// shardDir is the folder of a host's shard.
func (o Options) shardDir(host int) string {
	if o.Dir == "" {
		return ""
	}
	return filepath.Join(o.Dir, HostName(host))
}

// clock tells the time of the workload while that is stored, so that a shard takes samples that are hours old, and the
// machine's time afterwards.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() {
		return time.Now()
	}
	return c.at
}
