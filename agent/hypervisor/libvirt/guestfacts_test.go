//go:build cgo && libvirt_dlopen

package libvirt

import (
	"testing"

	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
)

// offered is what a host with everything answers, shortened.
const offered = `<domainCapabilities><path>/usr/bin/qemu-system-x86_64</path><domain>kvm</domain><machine>pc-q35-9.2</machine><arch>x86_64</arch>
<vcpu max='288'/>
<os supported='yes'><enum name='firmware'><value>bios</value><value>efi</value></enum>
<loader supported='yes'><enum name='secure'><value>yes</value><value>no</value></enum></loader></os>
<cpu><mode name='host-passthrough' supported='yes'><enum name='hostPassthroughMigratable'><value>on</value><value>off</value></enum></mode>
<mode name='maximum' supported='no'/>
<mode name='host-model' supported='yes'><model fallback='forbid'>EPYC</model><maxphysaddr mode='passthrough' limit='46'/></mode>
<mode name='custom' supported='yes'><model usable='yes'>qemu64</model><model usable='no'>Skylake</model><model usable='unknown'>EPYC</model></mode></cpu>
<devices><disk supported='yes'><enum name='bus'><value>virtio</value><value>sata</value></enum></disk>
<graphics supported='yes'><enum name='type'><value>vnc</value></enum></graphics>
<video supported='yes'><enum name='modelType'><value>vga</value></enum></video>
<tpm supported='yes'><enum name='backendModel'><value>passthrough</value><value>emulator</value></enum></tpm></devices>
<features><sev supported='yes'><cbitpos>47</cbitpos><reducedPhysBits>1</reducedPhysBits></sev>
<hyperv supported='yes'><enum name='features'><value>relaxed</value><value>vpindex</value></enum></hyperv></features></domainCapabilities>`

func TestGuestFactsAreReadFromDomainCapabilities(t *testing.T) {
	var caps libvirtxml.DomainCaps
	require.NoError(t, caps.Unmarshal(offered))
	require.Equal(t, &hypervisor.GuestFacts{
		MaxCPUs: 288, CPUModes: []string{"host-passthrough", "host-model", "custom"}, CPUModels: []string{"EPYC", "qemu64"}, Migratable: true,
		HyperV: []string{"relaxed", "vpindex"}, SecureBoot: true, TPM: true, VNC: true, VideoModels: []string{"vga"}, DiskBuses: []string{"virtio", "sata"},
		SEV: &hypervisor.SEVFacts{CBitPos: 47, ReducedPhysBits: 1},
	}, guestFacts(caps))
	require.Equal(t, 46, physAddrBits(caps))
}

func TestSignatureTellsProcessorsApart(t *testing.T) {
	cpu := func(text string) string {
		var caps libvirtxml.Caps
		require.NoError(t, caps.Unmarshal("<capabilities><host><cpu><arch>x86_64</arch>"+text+"</cpu></host></capabilities>"))
		return signature(caps.Host.CPU)
	}
	one := cpu("<model>EPYC</model><vendor>AMD</vendor><microcode version='1'/><feature name='avx'/><feature name='ibs'/>")
	require.Equal(t, one, cpu("<model>EPYC</model><vendor>AMD</vendor><microcode version='2'/><feature name='ibs'/><feature name='avx'/>"))
	require.NotEqual(t, one, cpu("<model>EPYC</model><vendor>AMD</vendor><feature name='avx'/>"))
	require.NotEqual(t, one, cpu("<model>EPYC-Rome</model><vendor>AMD</vendor><feature name='avx'/><feature name='ibs'/>"))
}

func TestGuestFactsOfAHostWithNothing(t *testing.T) {
	var caps libvirtxml.DomainCaps
	require.NoError(t, caps.Unmarshal(`<domainCapabilities><os supported='yes'/><features><sev supported='no'/></features></domainCapabilities>`))
	require.Equal(t, &hypervisor.GuestFacts{}, guestFacts(caps))
	require.Zero(t, physAddrBits(caps))
	require.Equal(t, "0000:3b:00.0", pciAddress("0000_3b_00_0"))
	require.Empty(t, pciAddress("computer"))
}
