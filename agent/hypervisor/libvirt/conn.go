//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	lv "libvirt.org/go/libvirt"

	"github.com/novacron/novacron/agent/hypervisor"
)

// Available tells whether this program was built with libvirt.
const Available = true

const (
	keepAliveSeconds = 2
	keepAliveCount   = 2
	firstBackoff     = 200 * time.Millisecond
	lastBackoff      = 10 * time.Second
)

var errClosed = errors.New("the driver is closed")

// eventLoop starts libvirt's own event loop, which the C library has one of per process: hence a variable of the package.
var eventLoop = sync.OnceValue(func() error {
	if err := lv.EventRegisterDefaultImpl(); err != nil {
		return err
	}
	go func() {
		for {
			if lv.EventRunDefaultImpl() != nil {
				// Nothing to be done about a failed poll but to poll again, without spinning.
				time.Sleep(firstBackoff)
			}
		}
	}()
	return nil
})

// Driver is a connection to libvirt that is made again whenever it breaks. It is safe for concurrent use.
type Driver struct {
	hypervisor.EventHub
	opts  Options
	slots chan struct{}
	stop  context.CancelFunc
	done  chan struct{}

	mu     sync.Mutex
	conn   *lv.Connect
	closed bool

	facts factsCache
}

var _ hypervisor.Driver = (*Driver)(nil)

// Open connects to libvirt. It fails where libvirt cannot be reached now; later it reconnects by itself.
func Open(ctx context.Context, opts Options) (hypervisor.Driver, error) {
	opts = opts.withDefaults()
	if _, err := lv.GetVersion(); err != nil {
		return nil, unavailable(fmt.Errorf("libvirt.so.0: %w; install libvirt on this host", err))
	}
	if err := eventLoop(); err != nil {
		return nil, unavailable(fmt.Errorf("libvirt's event loop: %w", err))
	}
	running, stop := context.WithCancel(context.Background())
	d := &Driver{opts: opts, slots: make(chan struct{}, opts.MaxCalls), stop: stop, done: make(chan struct{})}
	lost := make(chan struct{}, 1)
	if err := await(ctx, func() error { return d.connect(lost) }); err != nil {
		stop()
		return nil, unavailable(fmt.Errorf("connect to %s: %w", opts.URI, err))
	}
	go d.supervise(running, lost)
	return d, nil
}

// await runs a call that knows no context, and gives up waiting when the context ends.
func await(ctx context.Context, call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connect makes a connection with its callbacks. lost hears when it breaks.
func (d *Driver) connect(lost chan struct{}) error {
	conn, err := lv.NewConnect(d.opts.URI)
	if err != nil {
		return err
	}
	notify := func(*lv.Connect, lv.ConnectCloseReason) {
		select {
		case lost <- struct{}{}:
		default:
		}
	}
	if err := conn.RegisterCloseCallback(notify); err != nil {
		d.opts.Logger.Debug("connection without close callback", "uri", d.opts.URI, "error", err)
	}
	if err := conn.SetKeepAlive(keepAliveSeconds, keepAliveCount); err != nil {
		d.opts.Logger.Debug("connection without keep-alive", "uri", d.opts.URI, "error", err)
	}
	if _, err := conn.DomainEventLifecycleRegister(nil, d.lifecycle); err != nil {
		d.opts.Logger.Warn("connection without events", "uri", d.opts.URI, "error", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_, _ = conn.Close()
		return errClosed
	}
	d.conn = conn
	return nil
}

// supervise replaces broken connections until the driver is closed.
func (d *Driver) supervise(ctx context.Context, lost chan struct{}) {
	defer close(d.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-lost:
		}
		d.opts.Logger.Warn("connection to libvirt lost", "uri", d.opts.URI)
		d.drop()
		d.Publish(hypervisor.Event{Kind: "disconnected"})
		if !d.reconnect(ctx, lost) {
			return
		}
		d.opts.Logger.Info("connection to libvirt is back", "uri", d.opts.URI)
		d.Publish(hypervisor.Event{Kind: "connected"})
	}
}

// reconnect tries until it has a connection, more and more slowly, or the context ends.
func (d *Driver) reconnect(ctx context.Context, lost chan struct{}) bool {
	for backoff := firstBackoff; ; backoff = min(2*backoff, lastBackoff) {
		timer := time.NewTimer(backoff)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
		err := d.connect(lost)
		if err == nil {
			return true
		}
		d.opts.Logger.Debug("libvirt is still away", "uri", d.opts.URI, "error", err)
	}
}

// drop closes a broken connection. Calls in flight hold references of their own.
func (d *Driver) drop() {
	d.mu.Lock()
	conn := d.conn
	d.conn = nil
	d.mu.Unlock()
	d.facts.forget()
	if conn != nil {
		_ = conn.UnregisterCloseCallback()
		_, _ = conn.Close()
	}
}

// Close ends the connection. Guests run on.
func (d *Driver) Close() error {
	d.mu.Lock()
	closed := d.closed
	d.closed = true
	d.mu.Unlock()
	if closed {
		return nil
	}
	d.stop()
	<-d.done
	d.drop()
	return nil
}

// borrow takes a reference to the connection, which the caller closes.
func (d *Driver) borrow() (*lv.Connect, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, unavailable(errClosed)
	case d.conn == nil:
		return nil, unavailable(fmt.Errorf("no connection to %s at present; it is tried again", d.opts.URI))
	}
	if err := d.conn.Ref(); err != nil {
		return nil, unavailable(err)
	}
	return d.conn, nil
}

// result is what a call came to.
type result[T any] struct {
	value T
	err   error
}

// call runs a libvirt call, which knows no context, and gives up waiting for it when the context ends. Few calls are
// in flight at a time: libvirtd stops reading from a client that has more, keep-alives included.
func call[T any](ctx context.Context, d *Driver, do func(*lv.Connect) (T, error)) (T, error) {
	var none T
	select {
	case d.slots <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	conn, err := d.borrow()
	if err != nil {
		<-d.slots
		return none, err
	}
	done := make(chan result[T], 1)
	go func() {
		defer func() { <-d.slots }()
		defer conn.Close()
		value, err := do(conn)
		done <- result[T]{value, classify(conn, err)}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// run is a call without a value.
func run(ctx context.Context, d *Driver, do func(*lv.Connect) error) error {
	_, err := call(ctx, d, func(c *lv.Connect) (struct{}, error) { return struct{}{}, do(c) })
	return err
}

// classify gives libvirt's errors our names.
func classify(conn *lv.Connect, err error) error {
	var e lv.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case lv.ERR_NO_DOMAIN, lv.ERR_NO_STORAGE_POOL, lv.ERR_NO_STORAGE_VOL, lv.ERR_NO_NETWORK:
		return fmt.Errorf("%w: %s", hypervisor.ErrNotFound, e.Message)
	case lv.ERR_STORAGE_VOL_EXIST:
		return fmt.Errorf("%w: %s", hypervisor.ErrExists, e.Message)
	case lv.ERR_NO_SUPPORT, lv.ERR_ARGUMENT_UNSUPPORTED:
		return fmt.Errorf("%w: %s", hypervisor.ErrUnsupported, e.Message)
	}
	if alive, aliveErr := conn.IsAlive(); aliveErr != nil || !alive {
		return unavailable(err)
	}
	return err
}
