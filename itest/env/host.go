package env

import (
	"sync"
	"time"

	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/itest/fault"
)

// Host is the machine under an agent: it outlives the agent's process, as real ones do.
type Host struct {
	// Driver is the fake hypervisor.
	Driver *fake.Driver
	// Faults are the fail points of the agent.
	Faults *fault.Registry

	mu        sync.Mutex
	failures  map[string]error
	latencies map[string]time.Duration
}

func newHost(options fake.Options) (*Host, error) {
	h := &Host{Faults: fault.New(), failures: map[string]error{}, latencies: map[string]time.Duration{}}
	options.Fault = func(op, _ string) error { return h.failure(op) }
	options.Latency = h.latency
	driver, err := fake.New(options)
	h.Driver = driver
	return h, err
}

// Fail makes an operation of the hypervisor, such as "Define", fail from now on; nil ends it.
func (h *Host) Fail(op string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures[op] = err
}

// Delay makes an operation of the hypervisor take a while from now on.
func (h *Host) Delay(op string, latency time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latencies[op] = latency
}

func (h *Host) failure(op string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failures[op]
}

func (h *Host) latency(op string) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.latencies[op]
}
