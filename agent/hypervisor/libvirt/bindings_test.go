//go:build cgo && libvirt_dlopen

package libvirt

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/lab"
)

const (
	filteredID = "6f1c2d3e-4b5a-4678-9abc-def012345611"
	strangerID = "6f1c2d3e-4b5a-4678-9abc-def012345612"
)

// filtered is a machine without a disk whose network card has a packet filter.
const filtered = `<domain type="qemu"><name>filtered</name><uuid>` + filteredID + `</uuid><memory unit="MiB">32</memory><vcpu>1</vcpu>
<os><type arch="x86_64" machine="q35">hvm</type></os><devices><interface type="network"><source network="default"/>
<model type="virtio"/><filterref filter="clean-traffic"/></interface></devices></domain>`

// leaveBinding leaves the filter of a card that is gone, as a libvirt daemon does that is killed in a start.
func leaveBinding(t *testing.T, host *lab.Host, card, owner string) {
	t.Helper()
	binding := fmt.Sprintf(`<filterbinding><owner><name>x</name><uuid>%s</uuid></owner><portdev name="%s"/><mac address="52:54:00:01:02:03"/><filterref filter="clean-traffic"/></filterbinding>`,
		owner, card)
	const script = `ip tuntap add "$1" mode tap; echo "$2" >/run/binding.xml; virsh -q nwfilter-binding-create /run/binding.xml; ip link del "$1"`
	_, err := host.Output(t.Context(), "sh", "-ec", script, "sh", card, binding)
	require.NoError(t, err)
}

func bindingsOf(t *testing.T, host *lab.Host) string {
	t.Helper()
	out, err := host.Output(t.Context(), "sh", "-c", `virsh -q nwfilter-binding-list | awk '{ print $1 }' | sort | tr '\n' ' '`)
	require.NoError(t, err)
	return out
}

func TestFiltersThatAStartLeftAreNoObstacle(t *testing.T) {
	host, _ := labHost(t)
	d := openHost(t, host, Options{})
	require.NoError(t, d.Define(t.Context(), filtered))
	leaveBinding(t, host, "vnet0", filteredID)
	leaveBinding(t, host, "vnet1", strangerID)
	leaveBinding(t, host, "vnet9", filteredID)
	require.Equal(t, "vnet0 vnet1 vnet9 ", bindingsOf(t, host))
	require.NoError(t, d.Start(t.Context(), filteredID))
	require.Equal(t, "vnet0 vnet1 ", bindingsOf(t, host), "its own anew, and the stranger's")
	require.NoError(t, d.Kill(t.Context(), filteredID, false))
	require.NoError(t, d.Start(t.Context(), filteredID), "with a card whose name is free")
	require.Equal(t, "vnet1 vnet2 ", bindingsOf(t, host))
	require.NoError(t, d.Kill(t.Context(), filteredID, false))
	leaveBinding(t, host, "vnet9", filteredID)
	require.NoError(t, d.Undefine(t.Context(), filteredID))
	require.Equal(t, "vnet1 ", bindingsOf(t, host))
}
