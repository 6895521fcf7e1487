package itest_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/lab"
)

// up waits for the guest's line on the console; each boot prints it anew.
func (f *fleet) up(vm string) {
	f.t.Helper()
	f.must("vm", "console", vm, "--until", lab.UpMark, "--timeout", guestBoot)
}

// agentAnswers waits for the agent in the guest and returns what it tells.
func (f *fleet) agentAnswers(vm string) (told string) {
	f.t.Helper()
	require.NoError(f.t, f.Await(f.ctx, "the guest agent of "+vm, func(ctx context.Context) error {
		result := f.CLI(ctx, "vm", "guest", vm, "-o", "json")
		if !strings.Contains(result.Out, `"agentConnected": true`) {
			return &lacking{result.Out + result.Err}
		}
		told = result.Out
		return nil
	}))
	return told
}

// Everything that can be done to a running machine, with its effect seen in the guest or in libvirt.
func TestTheLifeOfAMachine(t *testing.T) {
	f := startFleet(t, []string{"c1"}, []string{"h1"})
	f.must(createArgs("web-1")...)
	f.up("web-1")
	require.Contains(t, f.agentAnswers("web-1"), `"hostname": "web-1"`)
	require.NoError(t, f.Await(f.ctx, "the cluster to know what the guest tells", func(ctx context.Context) error {
		if shown := f.CLI(ctx, "vm", "show", "web-1").Out; !strings.Contains(shown, "Kernel:") || !strings.Contains(shown, "eth0:") {
			return &lacking{shown}
		}
		return nil
	}))
	instance := f.instances("h1")

	f.must("vm", "pause", "web-1")
	require.Contains(t, f.virsh("h1", "domstate", "web-1"), "paused")
	f.must("vm", "resume", "web-1")
	require.Contains(t, f.virsh("h1", "domstate", "web-1"), "running")

	f.must("vm", "reboot", "web-1")
	f.up("web-1")
	f.must("vm", "reset", "web-1")
	f.up("web-1")
	require.Equal(t, instance, f.instances("h1"), "restarts of the guest, not of the machine")

	f.must("vm", "iso", "attach", "web-1", "guest-kernel") // any image will do
	require.Regexp(t, `sda\s+nc-base-`, f.virsh("h1", "domblklist", "web-1"))
	f.must("vm", "iso", "eject", "web-1")
	require.Regexp(t, `sda\s+-`, f.virsh("h1", "domblklist", "web-1"))

	refused := f.CLI(f.ctx, "vm", "rename", "web-1", "web-2")
	require.Contains(t, refused.Err, "stop it first")
	f.must("vm", "stop", "web-1")
	f.must("vm", "rename", "web-1", "web-2")
	require.Contains(t, f.virsh("h1", "list", "--all", "--name"), "web-2")
	f.must("vm", "label", "web-2", "tier=web")
	require.Contains(t, f.must("vm", "list", "-l", "tier=web"), "web-2")
	f.must("vm", "delete", "web-2", "--yes")
	f.requireNothing("h1")

	told := f.must("event", "list", "-o", "csv", "--no-headers")
	for _, kind := range []string{"vm.created", "vm.running", "vm.paused", "vm.request.restart", "vm.stopped", "vm.deleted", "hypervisor.started", "hypervisor.rebooted"} {
		require.Contains(t, told, kind)
	}
}

// pictured takes a picture of a machine's screen.
func (f *fleet) pictured(vm string) image.Image {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "screen.png")
	f.must("vm", "screenshot", vm, path)
	file, err := os.Open(path)
	require.NoError(f.t, err)
	defer file.Close()
	picture, err := png.Decode(file)
	require.NoError(f.t, err)
	return picture
}

// colours counts the pixels of each colour.
func colours(picture image.Image) map[color.Color]int {
	count := map[color.Color]int{}
	at := picture.Bounds()
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			count[color.RGBAModel.Convert(picture.At(x, y))]++
		}
	}
	return count
}

// lettersOfVGA is the size of 80 by 25 letters.
var lettersOfVGA = image.Pt(720, 400) //nolint:gochecknoglobals // a constant

// TestAScreenCanBePictured has a machine with nothing to boot: its firmware says so, in letters on black.
func TestAScreenCanBePictured(t *testing.T) {
	f := startFleet(t, []string{"c1"}, []string{"h1"})
	definition := filepath.Join(t.TempDir(), "screen.yaml")
	require.NoError(t, os.WriteFile(definition, []byte("name: screen\ncpus: 1\nmemoryMB: 64\ndevices: {graphics: vnc}\n"), 0o600))
	f.must("vm", "create", "-f", definition)
	f.await("text on the screen", func() error {
		picture := f.pictured("screen")
		seen, size := colours(picture), picture.Bounds().Size()
		if size != lettersOfVGA { // before them QEMU says in a picture of its own that there is none yet
			return &lacking{fmt.Sprint(size)}
		}
		if black := (color.RGBA{A: 255}); len(seen) < 2 || seen[black] == 0 {
			return &lacking{fmt.Sprint(seen)}
		}
		return nil
	})
	picture := f.pictured("screen")
	size, seen := picture.Bounds().Size(), colours(picture)
	require.Equal(t, lettersOfVGA, size)
	require.Greater(t, 2*seen[color.RGBA{A: 255}], size.X*size.Y, "most of it is background: %v", seen)
	f.must("vm", "delete", "screen", "--yes", "--force")
	f.requireNothing("h1")
}

// foreignXML is a domain as somebody else would define it.
const foreignXML = `<domain type="qemu"><name>old-db</name><uuid>6f1c2d3e-4b5a-4678-9abc-def012345678</uuid><memory unit="MiB">64</memory>
<vcpu>1</vcpu><os><type arch="x86_64" machine="pc">hvm</type></os><devices><disk type="file" device="disk"><driver name="qemu" type="raw"/>
<source file="/var/lib/libvirt/images/mine.raw"/><target dev="hda" bus="ide"/></disk></devices></domain>`

func TestAForeignDomainIsTakenOverByRequestOnly(t *testing.T) {
	f := startFleet(t, []string{"c1"}, []string{"h1"})
	host, err := f.Lab.Host("h1")
	require.NoError(t, err)
	path := filepath.Join(host.Dir(), "old-db.xml")
	require.NoError(t, os.WriteFile(path, []byte(foreignXML), 0o600))
	f.virsh("h1", "vol-create-as", "default", "mine.raw", "1M", "--format", "raw")
	f.virsh("h1", "define", path)
	f.virsh("h1", "start", "old-db")
	before := f.virsh("h1", "dumpxml", "old-db")

	require.Contains(t, f.must("host", "foreign", "h1"), "old-db")
	f.must(createArgs("web-1")...)
	f.must("vm", "delete", "web-1", "--yes", "--force")
	require.Equal(t, before, f.virsh("h1", "dumpxml", "old-db"), "never touched")

	f.must("vm", "adopt", "old-db", "--host", "h1")
	f.requirePhase("old-db", "running")
	require.Contains(t, f.must("host", "foreign", "h1", "-o", "json"), "[]")
	f.must("vm", "stop", "old-db", "--force")
	f.must("vm", "delete", "old-db", "--yes")
	require.Empty(t, f.machines("h1"))
	require.Contains(t, f.virsh("h1", "vol-list", "default"), "mine.raw", "its disk is not the cluster's")
}
