//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"io"
	"sync"

	lv "libvirt.org/go/libvirt"

	"github.com/novacron/novacron/agent/hypervisor"
)

// Console opens the first serial port. Whoever had it open loses it.
func (d *Driver) Console(ctx context.Context, id string) (hypervisor.Console, error) {
	return call(ctx, d, func(conn *lv.Connect) (hypervisor.Console, error) {
		dom, err := conn.LookupDomainByUUIDString(id)
		if err != nil {
			return nil, err
		}
		defer dom.Free()
		stream, err := conn.NewStream(0)
		if err != nil {
			return nil, err
		}
		if err := dom.OpenConsole("", stream, lv.DOMAIN_CONSOLE_FORCE); err != nil {
			_ = stream.Free()
			return nil, err
		}
		// The stream outlives this call, and the connection has to outlive the stream.
		if err := conn.Ref(); err != nil {
			_ = stream.Abort()
			_ = stream.Free()
			return nil, err
		}
		return newConsole(conn, stream), nil
	})
}

// console is a stream that is freed once neither a read nor a write is under way.
type console struct {
	conn   *lv.Connect
	stream *lv.Stream
	users  sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

func newConsole(conn *lv.Connect, stream *lv.Stream) *console {
	return &console{conn: conn, stream: stream}
}

// enter keeps the stream from being freed, unless it is closed already.
func (c *console) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.users.Add(1)
	return true
}

// Read waits for output of the guest; io.EOF means that it has stopped, or that the console was closed.
func (c *console) Read(p []byte) (int, error) {
	if !c.enter() {
		return 0, io.EOF
	}
	defer c.users.Done()
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.stream.Recv(p[:min(len(p), chunk)])
	if err != nil || n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write sends input to the guest.
func (c *console) Write(p []byte) (int, error) {
	if !c.enter() {
		return 0, io.ErrClosedPipe
	}
	defer c.users.Done()
	written := 0
	for written < len(p) {
		n, err := c.stream.Send(p[written:min(len(p), written+chunk)])
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// Close ends the stream, and with it a read that waits.
func (c *console) Close() error {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if closed {
		return nil
	}
	// An error means that the guest has ended the stream already.
	_ = c.stream.Abort()
	go func() {
		c.users.Wait()
		_ = c.stream.Free()
		_, _ = c.conn.Close()
	}()
	return nil
}
