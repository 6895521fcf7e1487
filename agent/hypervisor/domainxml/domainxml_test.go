package domainxml

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"
	"pgregory.net/rapid"
)

// usbIDs are the two ids of a USB device in the order in which libvirtxml writes them.
var usbIDs = regexp.MustCompile(`(<product id="0x[0-9a-f]{4}"></product>)(\s*)(<vendor id="0x[0-9a-f]{4}"></vendor>)`)

func requireSame(t require.TestingT, d *libvirtxml.Domain) {
	want, err := d.Marshal()
	require.NoError(t, err)
	got, err := Domain(d)
	require.NoError(t, err)
	require.Equal(t, usbIDs.ReplaceAllString(want, "$3$2$1"), got)
}

// TestGoldenDomains reads every golden domain and writes it again.
func TestGoldenDomains(t *testing.T) {
	files, err := filepath.Glob("../testdata/golden/*.xml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var d libvirtxml.Domain
		require.NoError(t, d.Unmarshal(string(text)))
		requireSame(t, &d)
	}
}

// TestFormsThatWeDoNotWrite leaves to encoding/xml what no machine of ours has, and loses nothing of it.
func TestFormsThatWeDoNotWrite(t *testing.T) {
	for name, devices := range map[string]string{
		"disk of a file":      `<disk type="file" device="disk"><source file="/a&amp;b" index="1"></source><backingStore></backingStore><target dev="vda"></target></disk>`,
		"disk of a volume":    `<disk type="volume"><source pool="p" volume="v" mode="host" startupPolicy="optional"></source></disk>`,
		"disk of nothing":     `<disk device="cdrom"><target dev="sda" bus="sata"></target><readonly></readonly></disk>`,
		"disk of the network": `<disk type="network"><source protocol="rbd" name="x"><host name="a" port="1"></host><snapshot name="s"></snapshot></source></disk>`,
		"controller":          `<controller type="pci" index="1" model="pcie-root-port"><model name="m"></model><target chassis="1" port="0x8"></target><address type="pci" domain="0x0000" bus="0x00" slot="0x01" function="0x0"></address></controller>`,
		"ports":               `<controller type="virtio-serial" index="0" ports="16"></controller>`,
		"card of a vdpa":      `<interface type="vdpa"><source dev="/dev/vhost-vdpa-0"></source></interface>`,
		"card of a process":   `<interface type="user"><source dev="eth0"></source></interface>`,
		"card":                `<interface type="network"><source network="n" portgroup="g"></source><vlan trunk="yes"><tag id="1"></tag><tag id="2" nativeMode="tagged"></tag></vlan></interface>`,
		"serial port of TCP":  `<serial type="tcp"><source mode="bind" host="127.0.0.1" service="4555"></source><protocol type="telnet"></protocol><target type="isa-serial" port="0"><model name="isa-serial"></model></target></serial>`,
		"serial port of pty":  `<serial type="pty"><source path="/dev/pts/3"></source><target port="0"></target></serial>`,
		"channel of a socket": `<channel type="unix"><source mode="bind" path="/run/a&amp;b"></source><target type="virtio" name="org.qemu.guest_agent.0" state="connected"></target><alias name="channel0"></alias></channel>`,
		"channel of nothing":  `<channel type="unix"><target type="virtio"></target></channel>`,
		"channel of spice":    `<channel type="spicevmc"><target type="virtio" name="com.redhat.spice.0"></target></channel>`,
		"guest forwarding":    `<channel type="pipe"><source path="/p"></source><target type="guestfwd" address="10.0.2.1" port="4600"></target></channel>`,
		"input":               `<input type="passthrough" bus="virtio"><source evdev="/dev/input/event1"></source></input>`,
		"VNC of a network":    `<graphics type="vnc" port="-1" autoport="yes"><listen type="network" network="n"></listen><listen type="socket" socket="/s"></listen></graphics>`,
		"spice":               `<graphics type="spice" port="1"><listen type="address" address="::1"></listen></graphics>`,
		"VNC with sound":      `<graphics type="vnc" port="5900"><listen type="address"></listen><audio id="1"></audio></graphics>`,
		"random numbers":      `<rng model="virtio"><backend model="egd" type="udp"><source mode="connect" host="a" service="1"></source></backend></rng>`,
		"built-in numbers":    `<rng model="virtio"><backend model="builtin"></backend></rng>`,
		"TPM":                 `<tpm model="tpm-tis"><backend type="passthrough"><device path="/dev/tpm0"></device></backend></tpm>`,
		"emulated TPM":        `<tpm model="tpm-crb"><backend type="emulator" version="2.0" persistent_state="yes"><encryption secret="6dd3e4a5-1d76-44ce-961f-f119f5aad935"></encryption><active_pcr_banks><sha256></sha256></active_pcr_banks></backend></tpm>`,
		"mediated device":     `<hostdev mode="subsystem" type="mdev" model="vfio-pci"><source><address uuid="c2177883-f1bb-47f0-914d-32a22e3a8804"></address></source></hostdev>`,
		"PCI with a driver":   `<hostdev mode="subsystem" type="pci" managed="yes"><driver name="vfio"></driver><source><address domain="0x0000" bus="0x3b" slot="0x00" function="0x1" multifunction="on"></address></source><rom bar="off"></rom></hostdev>`,
		"USB by address":      `<hostdev mode="subsystem" type="usb"><source><address bus="1" device="2"></address></source></hostdev>`,
	} {
		t.Run(name, func(t *testing.T) {
			var d libvirtxml.Domain
			require.NoError(t, d.Unmarshal(`<domain type="kvm"><name>a</name><devices>`+devices+`</devices></domain>`))
			requireSame(t, &d)
			require.NotEqual(t, libvirtxml.DomainDeviceList{}, *d.Devices)
		})
	}
}

// TestCommandlineOfQEMU is an element of another namespace, whose tag we do not read.
func TestCommandlineOfQEMU(t *testing.T) {
	d := &libvirtxml.Domain{Type: "kvm", Name: "a", QEMUCommandline: &libvirtxml.DomainQEMUCommandline{Args: []libvirtxml.DomainQEMUCommandlineArg{{Value: "-x"}}}}
	requireSame(t, d)
	got, err := Domain(d)
	require.NoError(t, err)
	require.Contains(t, got, "http://libvirt.org/schemas/domain/qemu/1.0")
}

// TestAnyTextIsEscaped compares with encoding/xml, whatever the text.
func TestAnyTextIsEscaped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		requireEscaped(t, string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
		requireEscaped(t, rapid.String().Draw(t, "text"))
	})
}

func FuzzEscape(f *testing.F) {
	f.Add("a'\"<&>\t\r\n\x00ü\xff]]>")
	f.Fuzz(func(t *testing.T, s string) { requireEscaped(t, s) })
}

func requireEscaped(t require.TestingT, s string) {
	var want strings.Builder
	require.NoError(t, xml.EscapeText(&want, []byte(s)))
	w := &writer{}
	w.escape(s)
	require.Equal(t, want.String(), string(w.buf))
	requireSame(t, &libvirtxml.Domain{Name: s, Title: s, Type: s})
}

// TestElement stands on one line.
func TestElement(t *testing.T) {
	type inner struct {
		A *int     `xml:"a,attr"`
		B []string `xml:"b"`
		C string   `xml:",chardata"`
	}
	three := 3
	v := struct {
		NS    string  `xml:"xmlns:x,attr,omitempty"`
		On    bool    `xml:"on,attr"`
		Inner []inner `xml:"inner"`
		None  *inner  `xml:"none"`
		Empty string  `xml:"empty"`
	}{NS: "urn:x", On: true, Inner: []inner{{A: &three, B: []string{"<", ">"}}, {C: "&"}}}
	got, err := Element("x:v", &v)
	require.NoError(t, err)
	require.Equal(t, `<x:v xmlns:x="urn:x" on="true"><inner a="3"><b>&lt;</b><b>&gt;</b></inner><inner>&amp;</inner><empty></empty></x:v>`, got)
}

// BenchmarkDomain compares with the library on the golden domain that has the most disks.
func BenchmarkDomain(b *testing.B) {
	text, err := os.ReadFile("../testdata/golden/disks-many.xml")
	require.NoError(b, err)
	var d libvirtxml.Domain
	require.NoError(b, d.Unmarshal(string(text)))
	for i := range d.Devices.Controllers { // reading makes what writing leaves out
		d.Devices.Controllers[i].PCI, d.Devices.Controllers[i].USB = nil, nil
	}
	for name, marshal := range map[string]func() (string, error){"here": func() (string, error) { return Domain(&d) }, "library": d.Marshal} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := marshal(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
