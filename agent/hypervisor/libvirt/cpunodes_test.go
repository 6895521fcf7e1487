//go:build cgo && libvirt_dlopen

package libvirt

import (
	"testing"

	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
)

func TestProcessorsAreReadByNodeAndCore(t *testing.T) {
	const text = `<capabilities><host><topology><cells num='2'>
	  <cell id='0'><cpus num='3'>
	    <cpu id='0' socket_id='0' core_id='0' siblings='0,4'/>
	    <cpu id='1' socket_id='0' core_id='1' siblings='1,5'/>
	    <cpu id='4' socket_id='0' core_id='0' siblings='0,4'/></cpus></cell>
	  <cell id='1'><cpus num='3'>
	    <cpu id='2'/>
	    <cpu id='7' socket_id='1' core_id='3' siblings='3,7'/>
	    <cpu id='6' socket_id='1' core_id='2' siblings='6'/></cpus></cell>
	  <cell id='2'/>
	</cells></topology></host></capabilities>`
	var caps libvirtxml.Caps
	require.NoError(t, caps.Unmarshal(text))
	require.Equal(t, []hypervisor.CPUNode{
		{ID: 0, Cores: [][]int{{0, 4}, {1}}}, // 5 is switched off
		{ID: 1, Cores: [][]int{{2}, {6}, {7}}},
	}, cpuNodes(caps, 6), "and a node of memory alone has none")
	require.Equal(t, hypervisor.OneNode(2), cpuNodes(libvirtxml.Caps{}, 2))
	require.Equal(t, []hypervisor.CPUNode{{Cores: [][]int{{0}, {1}}}}, hypervisor.OneNode(2))
}
