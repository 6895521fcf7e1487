//go:build cgo && libvirt_dlopen

package libvirt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	lv "libvirt.org/go/libvirt"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/drivertest"
	"github.com/novacron/novacron/vm"
)

// node is a private host of libvirt's test driver.
const node = `<node>
  <cpu><mhz>2000</mhz><model>i686</model><active>8</active><nodes>1</nodes><sockets>1</sockets><cores>8</cores><threads>1</threads></cpu>
  <memory>8388608</memory>
  <network><name>default</name><bridge name="virbr0"/><ip address="192.168.122.1" netmask="255.255.255.0"/></network>
  <pool type="dir"><name>default</name><target><path>/default-pool</path></target></pool>
</node>`

func needLibvirt(t *testing.T) {
	t.Helper()
	if _, err := lv.GetVersion(); err != nil {
		t.Skipf("libvirt is not installed: %v", err)
	}
}

func openTestDriver(t *testing.T) hypervisor.Driver {
	t.Helper()
	needLibvirt(t)
	file := filepath.Join(t.TempDir(), "node.xml")
	require.NoError(t, os.WriteFile(file, []byte(node), 0o600))
	d, err := Open(t.Context(), Options{URI: "test://" + file})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func TestALibvirtThatIsNotThereIsToldOf(t *testing.T) {
	needLibvirt(t)
	socket := filepath.Join(t.TempDir(), "libvirt-sock")
	_, err := Open(t.Context(), Options{URI: "qemu+unix:///system?socket=" + socket})
	require.ErrorIs(t, err, hypervisor.ErrUnavailable)
	require.ErrorContains(t, err, "to '"+socket+"': No such file or directory; start libvirt's daemon")
	require.NotContains(t, err.Error(), "virError")
}

func TestContractOnTestDriver(t *testing.T) {
	d := openTestDriver(t)
	drivertest.Run(t, drivertest.Target{
		Driver: d, Pool: "default",
		Adapt: func(def *vm.Definition) { def.Arch = "i686" },
		// The test driver knows no machine types but its own.
		XML: func(text string) string { return strings.Replace(text, ` machine="q35"`, "", 1) },
		Missing: map[drivertest.Feature]string{
			drivertest.Upload:  "libvirt's test driver has no streams to volumes",
			drivertest.Resize:  "libvirt's test driver resizes no volumes",
			drivertest.Console: "libvirt's test driver has no consoles",
			drivertest.Leases:  "libvirt's test driver cannot change a network that is there",
			drivertest.Filters: "libvirt's test driver has no packet filters",
			drivertest.Media:   "libvirt's test driver changes no devices",
			drivertest.Reshape: "libvirt's test driver changes no devices",
			drivertest.Stats:   "libvirt's test driver counts nothing",
			drivertest.Restart: "libvirt's test driver resets nothing and has no guests to ask",
		},
	})
}
