package itest_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVolumesOnRealLibvirt takes volumes through their whole life on two real hosts.
func TestVolumesOnRealLibvirt(t *testing.T) {
	f := startFleet(t, []string{"c1", "c2", "c3"}, []string{"h1", "h2"})
	require.Contains(t, f.must("pool", "list"), "h2")
	f.poolLife()
	f.volumeLife()
	f.volumeFiles()
	f.volumeRefusals()
	f.volumeOrphans()
	f.requireNothing("h1")
	f.requireNothing("h2")
}

func (f *fleet) file(name string, data []byte) string {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), name)
	require.NoError(f.t, os.WriteFile(path, data, 0o600))
	return path
}

func (f *fleet) poolLife() {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "fast")
	for range 2 {
		f.must("pool", "create", "fast", "--host", "h1", "--path", path)
	}
	f.must("volume", "create", "kept", "--size", "1MiB", "--pool", "fast")
	require.Contains(f.t, f.virsh("h1", "vol-list", "fast"), "nc-vol-")
	require.Equal(f.t, 1, f.CLI(f.ctx, "pool", "delete", "fast", "--host", "h1", "--yes").Code)
	f.must("volume", "delete", "kept", "--yes")
	f.must("pool", "delete", "fast", "--host", "h1", "--yes")
	require.NotContains(f.t, f.virsh("h1", "pool-list", "--all"), "fast")
}

func (f *fleet) volumeLife() {
	f.t.Helper()
	f.must("volume", "create", "data", "--size", "1GiB", "--host", "h1")
	require.Contains(f.t, f.virsh("h1", "vol-list", "default"), "nc-vol-")
	f.must("volume", "resize", "data", "2GiB")
	require.Contains(f.t, f.must("volume", "list", "--host", "h1", "-o", "csv"), ",2147483648,")
	f.must("volume", "clone", "data", "full")
	f.must("volume", "clone", "full", "linked", "--linked")
	require.Contains(f.t, f.must("volume", "list", "--host", "h1"), "volume linked")
	kept := f.CLI(f.ctx, "volume", "delete", "full", "--yes")
	require.Equal(f.t, 1, kept.Code)
	require.Contains(f.t, kept.Err, "linked clone linked")
	shrunk := f.CLI(f.ctx, "volume", "resize", "data", "1GiB")
	require.Equal(f.t, 1, shrunk.Code)
	require.Contains(f.t, shrunk.Err, "create a smaller volume")
	f.must("volume", "delete", "linked", "--yes")
	f.must("volume", "delete", "full", "data", "--yes")
	f.requireNothing("h1")
}

func (f *fleet) volumeFiles() {
	f.t.Helper()
	data := make([]byte, 8<<20)
	_, _ = rand.Read(data) // never fails
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:])
	require.Contains(f.t, f.must("volume", "upload", "blob", f.file("blob.raw", data)), "sha256 "+hash)
	back := filepath.Join(f.t.TempDir(), "back")
	require.Contains(f.t, f.must("volume", "download", "blob", back), "sha256 "+hash)
	got, err := os.ReadFile(back)
	require.NoError(f.t, err)
	require.Equal(f.t, data, got)
	f.must("volume", "delete", "blob", "--yes")
}

// volumeRefusals uploads what must not become a volume.
func (f *fleet) volumeRefusals() {
	f.t.Helper()
	dir := f.t.TempDir()
	plain, overlay := filepath.Join(dir, "plain.qcow2"), filepath.Join(dir, "overlay.qcow2")
	for _, args := range [][]string{{plain, "4M"}, {"-b", "/etc/passwd", "-F", "raw", overlay, "4M"}} {
		out, err := exec.CommandContext(f.ctx, "qemu-img", append([]string{"create", "-q", "-f", "qcow2"}, args...)...).CombinedOutput()
		if err != nil {
			f.t.Logf("no refusals of qcow2 files: %v %s", err, out)
			return
		}
	}
	refused := f.CLI(f.ctx, "volume", "upload", "evil", overlay)
	require.Equal(f.t, 1, refused.Code)
	require.Contains(f.t, refused.Err, "backing file")
	refused = f.CLI(f.ctx, "volume", "upload", "evil", plain, "--format", "raw")
	require.Equal(f.t, 1, refused.Code)
	require.Contains(f.t, refused.Err, "was declared raw and is qcow2")
	f.requireNothing("h1")
	f.requireNothing("h2")
	f.must("volume", "import", "cow", plain, "--size", "16MiB", "--host", "h2")
	require.Contains(f.t, f.must("volume", "list", "--host", "h2", "-o", "csv"), ",qcow2,16777216,")
	f.must("volume", "delete", "cow", "--yes")
}

func (f *fleet) volumeOrphans() {
	f.t.Helper()
	const lost = "nc-0b5c7a34-1111-4222-8333-94a5b6c7d8e9-root.qcow2"
	f.virsh("h2", "vol-create-as", "default", lost, "1M", "--format", "qcow2")
	f.virsh("h2", "vol-create-as", "default", "foreign.qcow2", "1M", "--format", "qcow2")
	f.must("volume", "create", "kept", "--size", "1MiB", "--host", "h2")
	orphans := f.must("volume", "orphans", "-o", "csv", "--no-headers")
	require.Equal(f.t, 1, strings.Count(orphans, "\n"), orphans)
	require.Contains(f.t, orphans, lost)
	f.must("volume", "orphans", "--remove", "--yes")
	left := f.virsh("h2", "vol-list", "default")
	require.NotContains(f.t, left, lost)
	require.Contains(f.t, left, "foreign.qcow2")
	require.Contains(f.t, left, "nc-vol-")
	f.virsh("h2", "vol-delete", "foreign.qcow2", "--pool", "default")
	f.must("volume", "delete", "kept", "--yes")
}
