package lab

import (
	"bytes"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNamesFitAndDiffer(t *testing.T) {
	a, b := labID("/tmp/a"), labID("/tmp/b")
	assert.NotEqual(t, a, b)
	assert.LessOrEqual(t, len(a), 15, "an interface name has 15 characters at most")
	assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, hostUUID(a, "h1"))
	assert.NotEqual(t, hostUUID(a, "h1"), hostUUID(b, "h1"))
}

func TestMountinfoOfBothKinds(t *testing.T) {
	const hybrid = `31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
32 23 0:28 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,name=systemd
33 23 0:29 / /elsewhere rw - cgroup cgroup rw,cpu,cpuacct
34 23 0:30 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw,nsdelegate
35 23 0:31 / /tmp rw - tmpfs tmpfs rw
`
	v1, v2, err := parseMountinfo(strings.NewReader(hybrid))
	require.NoError(t, err)
	assert.Equal(t, "/sys/fs/cgroup/unified", v2)
	assert.Equal(t, []hierarchy{{mount: "/sys/fs/cgroup/cpu,cpuacct", controllers: []string{"cpu", "cpuacct"}}}, v1)

	v1, v2, err = parseMountinfo(strings.NewReader("34 23 0:30 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"))
	require.NoError(t, err)
	assert.Empty(t, v1)
	assert.Equal(t, "/sys/fs/cgroup", v2)
}

func TestSubnetOverlap(t *testing.T) {
	for cidr, want := range map[string]bool{"10.77.5.9/24": true, "10.0.0.1/8": true, "10.77.5.200/32": true, "10.77.6.1/24": false, "192.168.1.1/16": false} {
		ip, n, err := net.ParseCIDR(cidr)
		require.NoError(t, err)
		assert.Equal(t, want, overlaps([]net.Addr{&net.IPNet{IP: ip, Mask: n.Mask}}, 5), cidr)
	}
}

func TestRecordGivesLowestFreeNumber(t *testing.T) {
	r := record{Hosts: []hostRecord{{Name: "a", Number: 1}, {Name: "c", Number: 3}}}
	h, err := r.add("b", true)
	require.NoError(t, err)
	assert.Equal(t, 2, h.Number)
	_, err = r.add("b", true)
	assert.ErrorIs(t, err, ErrHostExists)
	for i := range maxHosts - 3 {
		_, err := r.add("x"+strings.Repeat("y", i), false)
		require.NoError(t, err)
	}
	_, err = r.add("last", false)
	assert.ErrorContains(t, err, "200 hosts")
}

// TestArchiveIsReadByCpio compares with the reference implementation where it is installed.
func TestArchiveIsReadByCpio(t *testing.T) {
	var b bytes.Buffer
	a := archive{w: &b}
	a.file("etc/deep/name", 0o755, []byte("hello"))
	a.link("bin/sh", "busybox")
	a.charDevice("dev/console", 0o600, 5, 1)
	require.NoError(t, a.close())
	assert.Zero(t, b.Len()%4)
	assert.True(t, bytes.HasPrefix(b.Bytes(), []byte("070701")))
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("cpio is not installed")
	}
	cmd := exec.CommandContext(t.Context(), "cpio", "--list", "--verbose", "--numeric-uid-gid", "--quiet")
	cmd.Stdin = &b
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Len(t, lines, 7)
	for i, want := range []string{"drwxr-xr-x.* etc$", "drwxr-xr-x.* etc/deep$", "-rwxr-xr-x.* 5 .* etc/deep/name$", "drwxr-xr-x.* bin$", "lrwxrwxrwx.* bin/sh -> busybox$", "drwxr-xr-x.* dev$", "crw-------.* 5, +1 .* dev/console$"} {
		assert.Regexp(t, want, lines[i])
	}
}

func TestTreeFollowsLinks(t *testing.T) {
	tr := tree{files: map[string][]byte{"usr/lib/x/libc-2.so": []byte("c")}, links: map[string]string{
		"lib/x/libc.so.6": "libc-2.so", "lib64/ld.so": "/usr/lib/x/libc-2.so", "loop": "loop",
	}}
	for _, name := range []string{"lib/x/libc.so.6", "lib64/ld.so", "lib/x/libc-2.so"} {
		b, err := tr.open(name)
		require.NoError(t, err, name)
		assert.Equal(t, "c", string(b))
	}
	for _, name := range []string{"loop", "none"} {
		_, err := tr.open(name)
		assert.ErrorContains(t, err, name)
	}
	_, err := tr.byBase("libz.so")
	assert.ErrorContains(t, err, "libz.so")
	tr.files["usr/share/hooks/libc-2.so"] = []byte("a hook of the same name")
	_, err = tr.byBase("libc-2.so")
	assert.ErrorContains(t, err, "usr/share/hooks/libc-2.so")
}

func TestWatcherSeesAWordAcrossWrites(t *testing.T) {
	calls := 0
	w := &watcher{word: []byte(UpMark), found: func() { calls++ }}
	for _, part := range []string{"boot\nGUE", "ST-", "UP one\n", "GUEST-UP two"} {
		n, err := w.Write([]byte(part))
		require.NoError(t, err)
		assert.Equal(t, len(part), n)
	}
	assert.Equal(t, 1, calls)
	assert.Len(t, bootSector(), 512)
}

func TestBuildsOfAnEmptyFolder(t *testing.T) {
	_, ok := builtSince(t.TempDir())
	assert.False(t, ok)
	again := digest([]byte("a"), []byte("b"))
	assert.Equal(t, again, digest([]byte("a"), []byte("b")))
	assert.NotEqual(t, digest([]byte("ab")), digest([]byte("a"), []byte("b")))
	_, err := Open(t.TempDir())
	assert.ErrorIs(t, err, ErrNoLab)
	assert.ErrorContains(t, err, "New")
}
