package rpc

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller/state"
	"github.com/novacron/novacron/vm"
)

// checkHostAccess keeps what opens the host to a guest to admins: devices of the host, and volumes that are not the cluster's,
// whatever they hold.
func (s *vmService) checkHostAccess(ctx context.Context, definition vm.Definition) error {
	caller := callerOf(ctx)
	if caller.Role == pki.RoleAdmin {
		return nil
	}
	var refused []error
	refuse := func(path, value, what, wayOut string) {
		refused = append(refused, fmt.Errorf("%s: %q is %s, which role %s may not give to a guest: %s, or use a certificate of an admin", path, value, what, caller.Role, wayOut))
	}
	for i, device := range definition.Devices.HostDevices {
		refuse(fmt.Sprintf("devices.hostDevices[%d]", i), device.PCI+device.USB, "a device of the host", "leave it out")
	}
	for i, volume := range definition.Volumes {
		if volume.Source != "" && !s.isClusterVolume(volume.Pool, volume.Source) {
			refuse(fmt.Sprintf("volumes[%d].source", i), volume.Source, "a volume of the host and not of the cluster", "name one of «novacron volume list»")
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return connect.NewError(connect.CodePermissionDenied, errors.Join(refused...))
}

func (s *vmService) isClusterVolume(pool, source string) bool {
	for volume := range s.Store.View().Volumes() {
		if state.StoredName(volume) == source && volume.GetSpec().GetPool() == pool {
			return true
		}
	}
	return false
}
