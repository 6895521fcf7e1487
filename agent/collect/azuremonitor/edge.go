package azuremonitor

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// The APIs as meters, paces and errors name them.
const (
	apiMetrics     = "metrics:getBatch"
	apiMachines    = "virtualMachines"
	apiSizes       = "skus"
	apiDefinitions = "metricDefinitions"
	apiResources   = "resources"
)

// How many calls a second are made, and at once. The limits are 100 a second for metrics, by subscription and region,
// and 25 a second for the resource manager.
const (
	metricsPerSecond, metricsBurst = 20, 20
	managerPerSecond, managerBurst = 5, 10
)

// maxAnswer bounds an answer: fifty machines, twenty metrics and three hours come to less than 20 MB.
const maxAnswer = 64 << 20

// transport sends requests, bounds the answers and notes the time of the service. It implements policy.Transporter.
type transport struct {
	client *http.Client
	clock  *clock
}

// Do sends a request.
func (t *transport) Do(req *http.Request) (*http.Response, error) {
	resp, err := t.client.Do(req)
	if err != nil {
		return nil, err
	}
	t.clock.heard(resp.Header.Get("Date"))
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	return resp, nil
}

// minSkew is a difference of clocks that is taken for one; less is the way and the service's rounding.
const minSkew = 5 * time.Second

// clock is that of the service, as its answers tell. A host whose clock is wrong asks for the right periods.
type clock struct {
	mu    sync.Mutex
	skew  time.Duration
	known bool
}

func (c *clock) heard(date string) {
	theirs, err := http.ParseTime(date)
	if err != nil {
		return
	}
	skew := time.Until(theirs)
	if skew.Abs() < minSkew {
		skew = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew, c.known = skew, true
}

// told tells whether the service has told the time.
func (c *clock) told() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.skew).UTC()
}

// gatekeeper keeps the pace of one API. It is a policy of the SDK's pipeline, whose own retries are off: what failed is
// asked for again by the next collection.
type gatekeeper struct {
	api      string
	door     cloud.Door
	meter    *collect.Meter
	deadline time.Duration

	mu      sync.Mutex
	refused int
}

// Do waits for the pace and sends.
func (g *gatekeeper) Do(req *policy.Request) (*http.Response, error) {
	if err := g.door.Wait(req.Raw().Context()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(req.Raw().Context(), g.deadline)
	defer cancel() // the pipeline has read the whole body by then
	resp, err := req.Clone(ctx).Next()
	if err != nil {
		g.meter.Request(g.api, "error")
		return nil, err
	}
	g.meter.Request(g.api, strconv.Itoa(resp.StatusCode))
	g.heed(req.Raw().Context(), resp)
	return resp, nil
}

// heed closes the pace for as long as the service asks, and for a while that grows where it does not say how long.
func (g *gatekeeper) heed(ctx context.Context, resp *http.Response) {
	g.mu.Lock()
	defer g.mu.Unlock()
	throttled := resp.StatusCode == http.StatusTooManyRequests
	asked, told := retryAfter(resp.Header)
	switch {
	case throttled:
		g.meter.Throttled(g.api)
		g.refused++
		if !told {
			asked = min(firstPause<<min(g.refused-1, 10), longestPause)
		}
		g.door.Close(ctx, time.Now().Add(asked))
	case resp.StatusCode == http.StatusServiceUnavailable && told:
		g.door.Close(ctx, time.Now().Add(asked))
	case resp.StatusCode < http.StatusBadRequest:
		g.refused = 0
	}
}

// The pauses where the service does not say how long to wait.
const (
	firstPause   = 10 * time.Second
	longestPause = 10 * time.Minute
)

// retryAfter is how long the service asks to wait: in milliseconds, in seconds or until a time by its own clock.
func retryAfter(h http.Header) (time.Duration, bool) {
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if ms, err := strconv.Atoi(h.Get(name)); err == nil && ms > 0 {
			return time.Duration(ms) * time.Millisecond, true
		}
	}
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second, true
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if theirs, err := http.ParseTime(h.Get("Date")); err == nil {
		return max(0, until.Sub(theirs)), true
	}
	return max(0, time.Until(until)), true
}
