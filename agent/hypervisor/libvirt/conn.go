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

var (
	errClosed = errors.New("the driver is closed")
	errAway   = errors.New("there is no connection at present; it is tried again")
)

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

// Driver is a handful of connections to libvirt that are made again whenever they break. It is safe for concurrent use.
type Driver struct {
	hypervisor.EventHub
	opts  Options
	stop  context.CancelFunc
	links []*link
	// slots holds a token for each call in flight.
	slots chan struct{}
	// pick guards the choice of a link.
	pick   sync.Mutex
	closed sync.Once
	facts  factsCache
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
	d := &Driver{opts: opts, stop: stop, slots: make(chan struct{}, opts.Connections*opts.MaxCalls)}
	for n := range opts.Connections {
		d.links = append(d.links, newLink(d, n == 0))
	}
	err := await(ctx, d.connect)
	for _, l := range d.links {
		go l.supervise(running)
	}
	if err != nil {
		// A connection that is made too late must not stay.
		go func() { _ = d.Close() }()
		return nil, unavailable(fmt.Errorf("connect to %s: %w; start libvirt's daemon on this host, or set agent.libvirtURI in node.yaml to where it listens", opts.URI, plain(err)))
	}
	return d, nil
}

func (d *Driver) connect() error {
	for _, l := range d.links {
		if err := l.connect(); err != nil {
			return err
		}
	}
	return nil
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

// Close ends the connections. Guests run on.
func (d *Driver) Close() error {
	d.closed.Do(func() {
		d.stop()
		for _, l := range d.links {
			l.close()
		}
	})
	return nil
}

// idlest takes the link with the fewest calls in flight, of those that have a connection if any has.
func (d *Driver) idlest() *link {
	d.pick.Lock()
	defer d.pick.Unlock()
	best := d.links[0]
	for _, l := range d.links {
		if up, bestUp := l.up(), best.up(); up && !bestUp || up == bestUp && l.busy < best.busy {
			best = l
		}
	}
	best.busy++
	return best
}

// release gives back what a call has taken.
func (d *Driver) release(l *link) {
	d.pick.Lock()
	l.busy--
	d.pick.Unlock()
	<-d.slots
}

// result is what a call came to.
type result[T any] struct {
	value T
	err   error
}

// call runs a libvirt call, which knows no context, and gives up waiting for it when the context ends. Few calls are
// in flight on each connection: libvirtd stops reading from a client that has more, keep-alives included.
func call[T any](ctx context.Context, d *Driver, do func(*lv.Connect) (T, error)) (T, error) {
	var none T
	select {
	case d.slots <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	l := d.idlest()
	conn, err := l.borrow()
	if err != nil {
		d.release(l)
		return none, err
	}
	done := make(chan result[T], 1)
	go func() {
		defer d.release(l)
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

// plain is an error of libvirt without its numbers, which tell people nothing.
func plain(err error) error {
	if e := (lv.Error{}); errors.As(err, &e) && e.Message != "" {
		return errors.New(e.Message)
	}
	return err
}

// classify gives libvirt's errors our names.
func classify(conn *lv.Connect, err error) error {
	var e lv.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case lv.ERR_NO_DOMAIN, lv.ERR_NO_STORAGE_POOL, lv.ERR_NO_STORAGE_VOL, lv.ERR_NO_NETWORK, lv.ERR_NO_NWFILTER:
		return fmt.Errorf("%w: %s", hypervisor.ErrNotFound, e.Message)
	case lv.ERR_STORAGE_VOL_EXIST:
		return fmt.Errorf("%w: %s", hypervisor.ErrExists, e.Message)
	case lv.ERR_OPERATION_INVALID:
		if e.Domain == lv.FROM_NWFILTER {
			return fmt.Errorf("%w: %s", hypervisor.ErrInUse, e.Message)
		}
	case lv.ERR_NO_SUPPORT, lv.ERR_ARGUMENT_UNSUPPORTED:
		return fmt.Errorf("%w: %s", hypervisor.ErrUnsupported, e.Message)
	}
	if alive, aliveErr := conn.IsAlive(); aliveErr != nil || !alive {
		return unavailable(err)
	}
	return err
}
