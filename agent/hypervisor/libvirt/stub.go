//go:build !(cgo && libvirt_dlopen)

package libvirt

import (
	"context"
	"errors"

	"github.com/novacron/novacron/agent/hypervisor"
)

// Available tells whether this program was built with libvirt.
const Available = false

var errNotBuiltIn = errors.New("this program was built without libvirt; build it with cgo and -tags libvirt_dlopen, or use the fake driver")

// Open says that there is no libvirt in this program.
func Open(context.Context, Options) (hypervisor.Driver, error) {
	return nil, unavailable(errNotBuiltIn)
}
