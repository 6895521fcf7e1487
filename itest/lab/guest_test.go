package lab

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testGuest builds the guest in a folder that stays from run to run.
func testGuest(t *testing.T, ctx context.Context) Guest {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	begin := time.Now()
	g, err := BuildGuest(ctx, filepath.Join(cache, "novacron", "guest"), slog.Default())
	require.NoError(t, err)
	took(t, "BuildGuest", begin)
	return g
}

// domain is a guest as libvirt wants it, with a log of its console in the host's folder.
func domain(h *Host, name, boot, devices string) string {
	return fmt.Sprintf(`<domain type='qemu'>
<name>%s</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type>%s</os>
<features><acpi/></features>
<devices>
<serial type='pty'><log file='%s'/></serial>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
%s
</devices></domain>`, name, boot, consoleLog(h, name), devices)
}

func consoleLog(h *Host, name string) string { return h.file("log", name+".console") }

func directBoot(g Guest, args string) string {
	return fmt.Sprintf("<kernel>%s</kernel><initrd>%s</initrd><cmdline>%s %s</cmdline>", g.Kernel, g.Initrd, KernelArgs, args)
}

func start(t *testing.T, ctx context.Context, h *Host, xml string) {
	t.Helper()
	file := h.file("domain.xml")
	require.NoError(t, os.WriteFile(file, []byte(xml), 0o644))
	_, err := h.Output(ctx, "virsh", "-q", "create", file)
	require.NoError(t, err)
}

// awaitConsole waits for a whole line with a text on the console of a guest.
func awaitConsole(t *testing.T, ctx context.Context, h *Host, name, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	var log []byte
	err := retry(ctx, func() (err error) {
		log, err = os.ReadFile(consoleLog(h, name))
		if _, rest, found := strings.Cut(string(log), text); err == nil && (!found || !strings.Contains(rest, "\n")) {
			err = fmt.Errorf("no line with %q on the console", text)
		}
		return err
	})
	require.NoError(t, err, "console of %s:\n%s", name, log)
	return string(log)
}

func awaitStopped(t *testing.T, ctx context.Context, h *Host) {
	t.Helper()
	require.NoError(t, retry(ctx, func() error {
		out, err := h.Output(ctx, "virsh", "-q", "list")
		if err == nil && strings.TrimSpace(out) != "" {
			err = fmt.Errorf("still running: %s", out)
		}
		return err
	}))
}

func TestGuestBootsAndObeys(t *testing.T) {
	ctx := needLab(t)
	g := testGuest(t, ctx)
	begin := time.Now()
	_, err := BuildGuest(ctx, filepath.Dir(filepath.Dir(g.Kernel)), nil)
	require.NoError(t, err)
	took(t, "BuildGuest again", begin)
	l := newLab(t, ctx)
	h, err := l.AddHost(ctx, "h1")
	require.NoError(t, err)

	nic := "<interface type='network'><source network='default'/><model type='virtio'/></interface>"
	begin = time.Now()
	start(t, ctx, h, domain(h, "one", directBoot(g, "nc.name=one"), nic))
	took(t, "virsh create", begin)
	awaitConsole(t, ctx, h, "one", UpMark+" one")
	took(t, "create to GUEST-UP", begin)
	awaitConsole(t, ctx, h, "one", "DHCP 192.168.122.")
	require.NoError(t, retry(ctx, func() error {
		_, err := h.Output(ctx, "virsh", "qemu-agent-command", "one", `{"execute":"guest-ping"}`)
		return err
	}))
	took(t, "create to agent's answer", begin)
	begin = time.Now()
	_, err = h.Output(ctx, "virsh", "shutdown", "one", "--mode", "agent")
	require.NoError(t, err)
	awaitStopped(t, ctx, h)
	took(t, "shutdown by agent", begin)
	awaitConsole(t, ctx, h, "one", "SHUTDOWN ")

	bridge := "<interface type='bridge'><source bridge='" + Bridge + "'/><model type='virtio'/></interface>"
	ip := address(l.rec.Subnet, 230)
	start(t, ctx, h, domain(h, "two", directBoot(g, "nc.name=two nc.tick nc.ip="+ip+"/24"), bridge))
	awaitConsole(t, ctx, h, "two", "TICK 3")
	node, err := l.AddNode(ctx, "client")
	require.NoError(t, err)
	_, err = node.Output(ctx, "bash", "-c", "exec 3<>/dev/tcp/"+ip+"/80")
	assert.NoError(t, err, "the guest's web server is reached from another host")
	begin = time.Now()
	_, err = h.Output(ctx, "virsh", "shutdown", "two", "--mode", "acpi")
	require.NoError(t, err)
	awaitStopped(t, ctx, h)
	took(t, "shutdown by ACPI", begin)
	awaitConsole(t, ctx, h, "two", "ACPI-POWEROFF")
}

func TestDiskBoots(t *testing.T) {
	ctx := needLab(t)
	if err := canBuildDisk(); err != nil {
		t.Skip(err)
	}
	g := testGuest(t, ctx)
	require.NoError(t, os.RemoveAll(filepath.Join(filepath.Dir(g.Kernel), "disk.qcow2")))
	begin := time.Now()
	image, err := BuildDisk(ctx, g)
	require.NoError(t, err)
	took(t, "BuildDisk", begin)
	h, err := newLab(t, ctx).AddHost(ctx, "h1")
	require.NoError(t, err)

	// As a user does: an overlay on the image, and a cloud-init seed.
	overlay, seed := h.file("lib", "images", "root.qcow2"), h.file("lib", "images", "seed.iso")
	_, err = run(ctx, "", "qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", overlay, "1G")
	require.NoError(t, err)
	meta, user := h.file("meta-data"), h.file("user-data")
	require.NoError(t, os.WriteFile(meta, []byte("instance-id: i-1\nlocal-hostname: seeded\n"), 0o644))
	require.NoError(t, os.WriteFile(user, []byte("#cloud-config\n"), 0o644))
	_, err = run(ctx, "", "genisoimage", "-quiet", "-o", seed, "-V", "cidata", "-r", "-J", meta, user)
	require.NoError(t, err)

	disks := fmt.Sprintf(`<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s'/><target dev='vda' bus='virtio'/></disk>
<controller type='scsi' model='virtio-scsi'/>
<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='%s'/><target dev='sda' bus='scsi'/><readonly/></disk>`, overlay, seed)
	begin = time.Now()
	start(t, ctx, h, domain(h, "disk", "<boot dev='hd'/>", disks))
	log := awaitConsole(t, ctx, h, "disk", UpMark+" seeded")
	took(t, "create to GUEST-UP from disk", begin)
	assert.Contains(t, log, "CLOUD-SEED")
	assert.Contains(t, log, "vda")
}

func TestKVMProbe(t *testing.T) {
	ctx := needLab(t)
	g := testGuest(t, ctx)
	begin := time.Now()
	kind := KVMWorks(ctx, g)
	took(t, "KVMWorks: "+kind, begin)
	assert.Contains(t, []string{KVM, Emulated}, kind)
}
