package cloud

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/novacron/novacron/agent/collect"
)

// Paces are those of all APIs that a process calls: collectors of one account share its pace. It is safe for concurrent use.
type Paces struct {
	mu    sync.Mutex
	paces map[apiKey]*Pace
	// closed are APIs that were closed before anybody asked for their pace.
	closed map[apiKey]time.Time
}

// For is the pace of an account's API. The rate, in calls a second, and how many may be made at once are those of the
// first caller.
func (p *Paces) For(account, api string, perSecond float64, burst int) *Pace {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := apiKey{account, api}
	if p.paces == nil {
		p.paces = map[apiKey]*Pace{}
	}
	if p.paces[key] == nil {
		p.paces[key] = NewPace(api, perSecond, burst)
		p.paces[key].Close(p.closed[key])
		delete(p.closed, key)
	}
	return p.paces[key]
}

// close has the pace of an API begin closed, or closes it.
func (p *Paces) close(pause collect.Pause) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := apiKey{pause.Account, pause.API}
	if pace := p.paces[key]; pace != nil {
		pace.Close(pause.Until)
		return
	}
	if p.closed == nil {
		p.closed = map[apiKey]time.Time{}
	}
	if pause.Until.After(p.closed[key]) {
		p.closed[key] = pause.Until
	}
}

func (p *Paces) closedUntil(key apiKey) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pace := p.paces[key]; pace != nil {
		return pace.closedUntil()
	}
	return p.closed[key]
}

// Pace is a token bucket that the provider can close for as long as it says. It is safe for concurrent use.
type Pace struct {
	api    string
	bucket *rate.Limiter

	mu     sync.Mutex
	closed time.Time
}

// NewPace allows a number of calls a second, and some at once. The API is named in errors.
func NewPace(api string, perSecond float64, burst int) *Pace {
	return &Pace{api: api, bucket: rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// Wait returns when a call may be made. Where that is not before the context's deadline it says so at once, with a
// *ThrottledError, and no call is made.
func (p *Pace) Wait(ctx context.Context) error {
	for {
		closed := p.closedUntil()
		if !time.Now().Before(closed) {
			break
		}
		if end, bounded := ctx.Deadline(); bounded && end.Before(closed) {
			return &ThrottledError{API: p.api, Until: closed}
		}
		if err := sleep(ctx, time.Until(closed)); err != nil {
			return err
		}
	}
	if err := p.bucket.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &ThrottledError{API: p.api, Until: time.Now().Add(time.Duration(float64(time.Second) / float64(p.bucket.Limit())))}
	}
	return nil
}

// Close lets no call through before a time, as the provider asked, however late that is. An earlier time than that of
// another Close changes nothing.
func (p *Pace) Close(until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.closed) {
		p.closed = until
	}
}

func (p *Pace) closedUntil() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// ThrottledError says that an API may not be called yet.
type ThrottledError struct {
	API   string
	Until time.Time
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("%s may not be called before %s: the provider or its pace says so; what was missed is collected then. Collect less often or fewer metrics if this lasts",
		e.API, e.Until.UTC().Format(time.RFC3339))
}
