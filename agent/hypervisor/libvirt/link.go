//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"sync"
	"time"

	lv "libvirt.org/go/libvirt"

	"github.com/novacron/novacron/agent/hypervisor"
)

const (
	keepAliveSeconds = 2
	keepAliveCount   = 2
	firstBackoff     = 200 * time.Millisecond
	lastBackoff      = 10 * time.Second
)

// link is one of a driver's connections. It is made again whenever it breaks.
type link struct {
	driver *Driver
	// leads says that the driver's events come through this link.
	leads bool
	lost  chan struct{}
	done  chan struct{}

	mu     sync.Mutex
	conn   *lv.Connect
	closed bool
	// busy counts the calls in flight; the driver's lock guards it.
	busy int
}

func newLink(d *Driver, leads bool) *link {
	return &link{driver: d, leads: leads, lost: make(chan struct{}, 1), done: make(chan struct{})}
}

// connect makes the connection with its callbacks.
func (l *link) connect() error {
	opts := l.driver.opts
	l.mend()
	conn, err := lv.NewConnect(opts.URI)
	if err != nil {
		return err
	}
	if err := conn.RegisterCloseCallback(func(*lv.Connect, lv.ConnectCloseReason) { l.wake() }); err != nil {
		opts.Logger.Debug("connection without close callback", "uri", opts.URI, "error", err)
	}
	if err := conn.SetKeepAlive(keepAliveSeconds, keepAliveCount); err != nil {
		opts.Logger.Debug("connection without keep-alive", "uri", opts.URI, "error", err)
	}
	if l.leads {
		if _, err := conn.DomainEventLifecycleRegister(nil, l.driver.lifecycle); err != nil {
			opts.Logger.Warn("connection without events", "uri", opts.URI, "error", err)
		}
		if _, err := conn.DomainEventRebootRegister(nil, l.driver.rebooted); err != nil {
			opts.Logger.Warn("connection without events of reboots", "uri", opts.URI, "error", err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_, _ = conn.Close()
		return errClosed
	}
	l.conn = conn
	return nil
}

// up tells whether there is a connection.
func (l *link) up() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn != nil
}

// wake wakes the supervisor, once.
func (l *link) wake() {
	select {
	case l.lost <- struct{}{}:
	default:
	}
}

// supervise replaces the connection whenever it breaks, until the context ends.
func (l *link) supervise(ctx context.Context) {
	defer close(l.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.lost:
		}
		l.mend() // at once: the next daemon may begin at any time
		l.drop()
		l.tell("disconnected")
		if !l.reconnect(ctx) {
			return
		}
		l.tell("connected")
	}
}

// mend frees the machines of ours that a daemon was starting when it was killed: see statusDir.
func (l *link) mend() {
	if !l.leads {
		return
	}
	opts := l.driver.opts
	mended, err := statusDir(opts.StatusDir).mend()
	if err != nil {
		opts.Logger.Warn("starts that died with libvirt's daemon may hold a lock on their machines", "dir", opts.StatusDir, "error", err)
	}
	if len(mended) > 0 {
		opts.Logger.Warn("starts died with libvirt's daemon; their status is mended", "dir", opts.StatusDir, "machines", mended)
	}
}

// tell reports the leading link's fate as the driver's.
func (l *link) tell(kind string) {
	if !l.leads {
		return
	}
	l.driver.opts.Logger.Warn("libvirt is "+kind, "uri", l.driver.opts.URI)
	l.driver.facts.forget()
	l.driver.Publish(hypervisor.Event{Kind: kind})
}

// reconnect tries until it has a connection, more and more slowly, or the context ends.
func (l *link) reconnect(ctx context.Context) bool {
	for backoff := firstBackoff; ; backoff = min(2*backoff, lastBackoff) {
		timer := time.NewTimer(backoff)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
		err := l.connect()
		if err == nil {
			return true
		}
		l.driver.opts.Logger.Debug("libvirt is still away", "uri", l.driver.opts.URI, "error", err)
	}
}

// drop closes a broken connection. Calls in flight hold references of their own.
func (l *link) drop() {
	l.mu.Lock()
	conn := l.conn
	l.conn = nil
	l.mu.Unlock()
	if conn != nil {
		_ = conn.UnregisterCloseCallback()
		_, _ = conn.Close()
	}
}

// close ends the link for good, once its supervisor has ended.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	<-l.done
	l.drop()
}

// borrow takes a reference to the connection, which the caller closes.
func (l *link) borrow() (*lv.Connect, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, unavailable(errClosed)
	case l.conn == nil:
		return nil, unavailable(errAway)
	}
	if err := l.conn.Ref(); err != nil {
		return nil, unavailable(err)
	}
	return l.conn, nil
}
