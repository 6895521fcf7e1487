package vm

import (
	"bytes"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// counted chooses identities by counting.
func counted() Defaults {
	n := 0
	next := func(format string) func() string {
		return func() string { n++; return fmt.Sprintf(format, n) }
	}
	return Defaults{Pool: "images", NewUUID: next("00000000-0000-4000-8000-%012x"), NewMAC: next("52:54:00:00:00:%02x")}
}

func TestNormaliseTwiceIsNormaliseOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := counted()
		once := Normalise(rapid.OneOf(anyDefinition(), anyValid()).Draw(t, "definition"), d)
		require.Equal(t, once, Normalise(once, d))
	})
}

func TestNormalisedStaysValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		def := anyValid().Draw(t, "definition")
		require.NoError(t, Validate(def))
		require.NoError(t, Validate(Normalise(def, counted())))
	})
}

func TestNormaliseSharesNoMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		def := anyDefinition().Draw(t, "definition")
		before := Clone(def)
		after := Normalise(def, counted())
		after.Labels["new"], after.Annotations["new"], after.Placement.HostLabels["new"] = "x", "x", "x"
		after.CPU.Pinning[0].HostCPUs, after.Devices.HostDevices[0].PCI, after.CloudInit.SSHKeys[0], *after.Autostart = "x", "x", "x", !*after.Autostart
		after.Volumes[0].Name, after.NetworkInterfaces[0].Model, after.Boot.Kernel = "x", "x", "x"
		require.Equal(t, before, def)
	})
}

func yes() *bool { on := true; return &on }

func no() *bool { return new(bool) }

func TestNormaliseFillsInEveryDefault(t *testing.T) {
	def := Normalise(Definition{Name: "a", Volumes: []Volume{{Name: "data-1"}, {}}, NetworkInterfaces: []NetworkInterface{{}, {Bridge: "br0"}}}, counted())
	require.Equal(t, Definition{
		Name: "a", Project: "default", UUID: "00000000-0000-4000-8000-000000000001", OSType: "linux", OSVersion: "generic",
		Arch: "x86_64", Pool: "images", Machine: "q35", Firmware: "bios", StopTimeoutSeconds: 60,
		Memory: Memory{Balloon: yes()}, SecureBoot: no(), TPM: "auto", LaunchSecurity: "none", Clock: "utc", HyperV: no(),
		Devices:   Devices{Serial: yes(), Graphics: "none", GuestAgent: yes(), RNG: yes()},
		Autostart: yes(), RestartPolicy: "always", EvacuationPolicy: "migrate",
		Volumes: []Volume{
			{Name: "data-1", Pool: "images", Format: "qcow2", Bus: "virtio", Device: "disk", DiskOptions: DiskOptions{Discard: "unmap"}},
			{Name: "data-2", Pool: "images", Format: "qcow2", Bus: "virtio", Device: "disk", DiskOptions: DiskOptions{Discard: "unmap"}},
		},
		NetworkInterfaces: []NetworkInterface{
			{Network: "default", Model: "virtio", MAC: "52:54:00:00:00:02"},
			{Bridge: "br0", Model: "virtio", MAC: "52:54:00:00:00:03"},
		},
	}, def)
}

func TestNormaliseChoosesDevicesThatTheSystemHasDriversFor(t *testing.T) {
	for _, c := range []struct{ os, machine, bus, model string }{
		{"linux", "", "virtio", "virtio"}, {"freebsd", "pc", "virtio", "virtio"},
		{"windows", "", "sata", "e1000e"}, {"windows", "pc", "ide", "e1000"}, {"windows", "pc-q35-7.2", "sata", "e1000e"},
	} {
		def := Normalise(Definition{OSType: c.os, Machine: c.machine, Volumes: []Volume{{}}, NetworkInterfaces: []NetworkInterface{{}}}, Defaults{})
		require.Equal(t, c.bus, def.Volumes[0].Bus, c)
		require.Equal(t, c.model, def.NetworkInterfaces[0].Model, c)
	}
}

func TestWireKeepsEveryField(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		def := anyDefinition().Draw(t, "definition")
		data, err := proto.Marshal(ToProto(def))
		require.NoError(t, err)
		var back novacronv1.VMSpec
		require.NoError(t, proto.Unmarshal(data, &back))
		require.Equal(t, def, FromProto(&back))
	})
}

// TestWireUsesEveryField fails when the message has a field that the definition does not fill.
func TestWireUsesEveryField(t *testing.T) {
	def := anyDefinition().Example(1)
	set := 0
	spec := ToProto(def).ProtoReflect()
	fields := spec.Descriptor().Fields()
	for i := range fields.Len() {
		require.True(t, spec.Has(fields.Get(i)), fields.Get(i).FullName())
		set++
	}
	require.Equal(t, 34, set)
	require.Equal(t, Definition{}, FromProto(nil))
	require.EqualValues(t, 0, ToProto(Definition{CPUs: -1}).Cpus)
}

func TestTextKeepsEveryField(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		def := anyDefinition().Draw(t, "definition")
		text, err := Marshal(def)
		require.NoError(t, err)
		back, err := ParseYAML(text)
		require.NoError(t, err, "%s", text)
		require.Equal(t, def, back, "%s", text)
	})
}

func TestIdentitiesComeFromTheSourceAlone(t *testing.T) {
	draw := func() (string, string) {
		r := rand.New(rand.NewSource(1))
		id, err := NewUUID(r)
		require.NoError(t, err)
		mac, err := NewMAC(r)
		require.NoError(t, err)
		return id, mac
	}
	id, mac := draw()
	again, macAgain := draw()
	require.Equal(t, []string{id, mac}, []string{again, macAgain})
	require.NoError(t, Validate(Normalise(Definition{Name: "a", CPUs: 1, MemoryMB: 64, UUID: id, NetworkInterfaces: []NetworkInterface{{MAC: mac}}}, Defaults{})))
	_, err := NewUUID(bytes.NewReader(nil))
	require.Error(t, err)
	_, err = NewMAC(strings.NewReader("x"))
	require.Error(t, err)
}

func TestRepeatingMACSourceEnds(t *testing.T) {
	drawn := 0
	Normalise(Definition{NetworkInterfaces: []NetworkInterface{{}, {}}}, Defaults{NewMAC: func() string {
		drawn++
		require.Less(t, drawn, 100)
		return "52:54:00:00:00:01"
	}})
	require.Greater(t, drawn, 2, "it tried again")
}
