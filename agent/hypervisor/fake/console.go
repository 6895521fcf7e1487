package fake

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/novacron/novacron/agent/hypervisor"
)

// console is the guest's end of an open console.
type console struct{ guest net.Conn }

// Console opens a serial port on which the guest greets, then repeats what it hears.
func (d *Driver) Console(ctx context.Context, id string) (hypervisor.Console, error) {
	if err := d.begin(ctx, "Console", id); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dom, err := d.find(id)
	if err != nil {
		return nil, err
	}
	seen, err := dom.seen()
	if err != nil {
		return nil, err
	}
	if dom.State != hypervisor.StateRunning {
		return nil, fmt.Errorf("console of %s: it is %s", seen.Name, dom.State)
	}
	ours, guest := net.Pipe()
	d.consoles[id] = append(d.consoles[id], &console{guest})
	go talk(guest, seen.Name)
	return ours, nil
}

func talk(guest net.Conn, name string) {
	defer guest.Close()
	if _, err := fmt.Fprintf(guest, "GUEST-UP %s\r\n", name); err != nil {
		return
	}
	_, _ = io.Copy(guest, guest)
}

// hangUp ends the consoles of a domain. The caller holds the lock.
func (d *Driver) hangUp(id string) {
	for _, c := range d.consoles[id] {
		_ = c.guest.Close()
	}
	delete(d.consoles, id)
}
