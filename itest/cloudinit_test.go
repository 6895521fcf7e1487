package itest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/lab"
)

const (
	// debianAddress is outside of what the default network's DHCP server hands out: only network-config can have set it.
	debianAddress = "192.168.122.7"
	debianMAC     = "52:54:00:de:b1:a7"
	// debianBoot is how long a whole Debian may take to its last line under software emulation: 50 s of a processor, on a
	// machine that may be busy. An emulated guest may freeze on the way, and then has another of debianStarts.
	debianBoot   = "6m"
	debianStarts = 3
	// debianPatience is for all of the test.
	debianPatience = 25 * time.Minute
)

// debianYAML is a machine of one processor: emulated beside each other, several may freeze a guest that boots. To be filled in
// are the kernel's arguments, the user's key, and the card's addresses of IP and Ethernet.
const debianYAML = `
name: debian-1
osType: debian
osVersion: "12"
cpus: 1
memoryMB: 512
diskGB: 2
image: debian
boot: {kernel: guest-kernel, initrd: guest-initrd, cmdline: %[1]q}
networkInterfaces: [{network: default, mac: %[4]q}]
cloudInit:
  hostname: from-the-definition
  sshKeys: [%[2]q]
  networkConfig: |
    version: 2
    ethernets:
      lan0: {match: {macaddress: %[4]q}, set-name: lan0, addresses: [%[3]s/24]}
  userData: |
    #cloud-config
    write_files:
    - {path: /etc/novacron/written, permissions: '0640', owner: 'root:adm', content: 'by cloud-init'}
    runcmd:
    - echo "SEEN host=$(hostname) file=$(cat /etc/novacron/written) mode=$(stat -c %%a:%%G /etc/novacron/written) address=$(ip -4 -o address show lan0 | tr -s ' ')" >/dev/ttyS0
    - echo "SEEN root=$(df --output=size -BM / | tail -n 1 | tr -d ' ')" >/dev/ttyS0
    final_message: SEEN-ALL
`

// buildDebian adds the image of a whole Debian.
func (f *fleet) buildDebian() {
	f.t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(f.t, err)
	began := time.Now()
	disk, err := lab.BuildDebian(f.ctx, filepath.Join(cache, "novacron", "debian"), slog.New(slog.NewTextHandler(f.t.Output(), nil)))
	if errors.Is(err, lab.ErrNoDebian) {
		f.t.Skip(err)
	}
	require.NoError(f.t, err)
	f.t.Logf("disk of a Debian after %s", time.Since(began))
	f.must("image", "add", "debian", disk)
}

// bootDebian creates the machine and gives what it said until cloud-init was done. One that does not get there is made anew,
// since cloud-init does on the first start alone what is looked for; what it said, and where it stands, is told.
func (f *fleet) bootDebian(definition string) (printed string) {
	f.t.Helper()
	for start := range debianStarts {
		if start > 0 {
			f.must("vm", "delete", "debian-1", "--force", "--yes")
		}
		began := time.Now()
		f.must("vm", "create", "-f", definition)
		console := f.CLI(f.ctx, "vm", "console", "debian-1", "--until", "SEEN-ALL", "--timeout", debianBoot)
		if console.Code == 0 {
			f.t.Logf("create to the end of cloud-init: %s", time.Since(began))
			return console.Out
		}
		registers, err := f.on("h1", "virsh", "qemu-monitor-command", "--hmp", strings.Fields(f.machines("h1")[0])[0], "info registers -a")
		f.t.Logf("not up after %s: %s%s\nprocessors: %s (%v)", time.Since(began), console.Out, console.Err, registers, err)
	}
	require.Fail(f.t, "cloud-init does not end", "%d starts", debianStarts)
	return ""
}

// newKey makes a key to log in with. The fingerprint is as cloud-init prints it: SHA-256 of the public key, in hex.
func newKey(t *testing.T) (file, public, fingerprint string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "key")
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tester", "-f", file).CombinedOutput()
	require.NoError(t, err, string(out))
	text, err := os.ReadFile(file + ".pub")
	require.NoError(t, err)
	public = strings.TrimSpace(string(text))
	blob, err := base64.StdEncoding.DecodeString(strings.Fields(public)[1])
	require.NoError(t, err)
	sum := sha256.Sum256(blob)
	return file, public, strings.ReplaceAll(fmt.Sprintf("% x", sum[:]), " ", ":")
}

// TestCloudInitOfARealDebian has the cloud-init that people use read the seed: all of it took effect in the guest, and the
// key that the seed brought opens its door.
func TestCloudInitOfARealDebian(t *testing.T) {
	f := startFleetAt(t, fleetPlan{alone: true, controllers: []string{"c1"}, agents: []string{"h1"}, patience: debianPatience})
	f.buildDebian()
	key, public, fingerprint := newKey(t)
	definition := filepath.Join(t.TempDir(), "debian.yaml")
	text := fmt.Sprintf(debianYAML, lab.RootArgs, public, debianAddress, debianMAC)
	require.NoError(t, os.WriteFile(definition, []byte(text), 0o600))

	printed := f.bootDebian(definition)
	require.Contains(t, printed, "SEEN host=from-the-definition file=by cloud-init mode=640:adm address=")
	require.Contains(t, printed, "lan0 inet "+debianAddress+"/24")
	require.Contains(t, printed, fingerprint)
	require.Regexp(t, `SEEN root=19\d\dM`, printed, "the file system of 448 MiB took all of the disk")
	require.NotContains(t, printed, "WARNING", "nothing of the seed was refused")

	f.await("the key to open the door", func() error {
		out, err := f.on("h1", "ssh", "-i", key, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
			"-o", "ConnectTimeout=20", "debian@"+debianAddress, "hostname; id -un")
		if err != nil || out != "from-the-definition\ndebian\n" {
			return &lacking{out + fmt.Sprint(err)}
		}
		return nil
	})
	f.must("vm", "stop", "debian-1", "--force")
	f.must("vm", "delete", "debian-1", "--yes")
	f.requireNothing("h1")
}
