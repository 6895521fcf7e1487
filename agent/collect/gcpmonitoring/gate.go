package gcpmonitoring

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// gate is where every call passes: at the pace of the project's API, with a deadline, counted, and again where the API
// says that it comes too early. The SDK beneath it retries nothing.
type gate struct {
	// who and where are told in errors.
	who     Credentials
	project string
	access  *cloud.Access
	meter   *collect.Meter
	timeout time.Duration

	mu sync.Mutex
	// refused counts, by API, how often in a row a call came too early.
	refused map[string]int
}

// maxAttempts is how often one call is made when it comes too early.
const maxAttempts = 3

// rates are the calls a second and at once; Google's own bounds are 100 a second for Monitoring and 25 for Compute.
var rates = map[string]struct {
	perSecond float64
	burst     int
}{"monitoring": {20, 20}, "compute": {5, 10}}

// verdict is what an API said of a call.
type verdict struct {
	// code counts the call.
	code string
	// throttled says that it came too early, after how long it may come again; 0 where that is not told.
	throttled bool
	after     time.Duration
	// hint says what to do about the error.
	hint string
	err  error
}

// pass makes a call of a method of an API, which judges its own answer.
func (g *gate) pass(ctx context.Context, api, method string, call func(context.Context) verdict) error {
	door := g.access.To(g.project, api, rates[api].perSecond, rates[api].burst)
	for attempt := 1; ; attempt++ {
		if err := door.Wait(ctx); err != nil {
			return err
		}
		v := g.once(ctx, call)
		g.meter.Request(api+"."+method, v.code)
		if !v.throttled {
			g.forgive(api)
			return g.explain(method, v)
		}
		g.meter.Throttled(api + "." + method)
		until := time.Now().Add(g.backoff(api, v.after))
		door.Close(ctx, until)
		if attempt == maxAttempts {
			return &cloud.ThrottledError{API: api + "." + method, Until: until}
		}
	}
}

func (g *gate) once(ctx context.Context, call func(context.Context) verdict) verdict {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	return call(ctx)
}

// backoff is how long the API stays closed: as long as it said or, where it said nothing, longer each time.
func (g *gate) backoff(api string, told time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused[api]++
	if told > 0 {
		return told
	}
	return min(5*time.Minute, 15*time.Second<<min(g.refused[api]-1, 8))
}

func (g *gate) forgive(api string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.refused, api)
}

// explain says what failed, where and what to do.
func (g *gate) explain(method string, v verdict) error {
	switch {
	case v.err == nil:
		return nil
	case errors.Is(v.err, context.Canceled):
		return v.err
	case v.hint != "":
		return fmt.Errorf("%s of project %s: %w; %s", method, g.project, v.err, v.hint)
	}
	return fmt.Errorf("%s of project %s: %w", method, g.project, v.err)
}

// hintOf says what to do about an error by the name of its code.
func (g *gate) hintOf(code string) string {
	switch code {
	case "Unauthenticated":
		return fmt.Sprintf("%s are not or no longer valid: %s", g.who, g.who.renewal())
	case "PermissionDenied":
		return fmt.Sprintf("grant what %s use the role of deploy/permissions/gcp-role.yaml in this project, and enable monitoring.googleapis.com and compute.googleapis.com", g.who)
	case "NotFound":
		return "check the id of the project"
	case "DeadlineExceeded":
		return fmt.Sprintf("no answer within %v; check the network, or collect fewer metrics", g.timeout)
	case "Unavailable":
		return "the API cannot be reached; what is missed is read again at the next collection"
	}
	return ""
}
