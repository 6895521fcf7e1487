package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// needLab skips where no lab can run, and bounds the test.
func needLab(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("starts daemons: not in -short")
	}
	if err := Supported(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newLab(t *testing.T, ctx context.Context) *Lab {
	t.Helper()
	l, err := New(ctx, filepath.Join(t.TempDir(), "lab"), Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), downPatience)
		defer cancel()
		assert.NoError(t, l.Down(ctx))
	})
	return l
}

// traces lists what of a lab is on the machine.
func traces(t *testing.T, l *Lab) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"/run/netns/" + l.id + "*", "/sys/class/net/" + l.id + "*", "/sys/fs/cgroup/" + l.id + "*", "/sys/fs/cgroup/*/" + l.id + "*", l.dir + "*"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		found = append(found, names...)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	if strings.Contains(string(mounts), l.id) || strings.Contains(string(mounts), l.dir) {
		found = append(found, "a mount")
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, f := range lines {
		if b, _ := os.ReadFile(f); strings.Contains(string(b), l.dir+"/") {
			found = append(found, f+": "+strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return found
}

func took(t *testing.T, what string, begin time.Time) {
	t.Helper()
	t.Logf("%s took %v", what, time.Since(begin).Round(time.Millisecond))
}

func TestLabComesUpAndLeavesNothing(t *testing.T) {
	ctx := needLab(t)
	begin := time.Now()
	l := newLab(t, ctx)
	took(t, "New", begin)
	begin = time.Now()
	hosts, err := l.Up(ctx, 2)
	require.NoError(t, err)
	took(t, "Up(2)", begin)
	for _, h := range hosts {
		out, err := h.Output(ctx, "virsh", "list", "--all")
		require.NoError(t, err)
		assert.Contains(t, out, "Id")
		pools, err := h.Output(ctx, "virsh", "-q", "pool-list")
		require.NoError(t, err)
		assert.Contains(t, pools, "default")
		nets, err := h.Output(ctx, "virsh", "-q", "net-list")
		require.NoError(t, err)
		assert.Contains(t, nets, "default")
		name, err := h.Output(ctx, "hostname")
		require.NoError(t, err)
		assert.Equal(t, h.Name+"\n", name)
	}
	_, err = hosts[0].Output(ctx, "virsh", "-c", "qemu+tcp://h2/system", "-q", "list")
	assert.NoError(t, err, "hosts reach each other's libvirt by name")
	assertOutside(t, ctx, hosts[1])
	assert.NotEmpty(t, traces(t, l), "the search for traces finds them while the lab is up")

	begin = time.Now()
	require.NoError(t, l.Down(ctx))
	took(t, "Down", begin)
	assert.Empty(t, traces(t, l))
	_, err = Open(l.Dir())
	assert.ErrorIs(t, err, ErrNoLab)
}

// assertOutside reaches the host from the machine itself, by its address and by its libvirt socket.
func assertOutside(t *testing.T, ctx context.Context, h *Host) {
	t.Helper()
	uri, err := h.URI()
	require.NoError(t, err)
	name, err := exec.CommandContext(ctx, "virsh", "-c", uri, "hostname").Output()
	require.NoError(t, err)
	assert.Equal(t, h.Name, strings.TrimSpace(string(name)))
	assertReaches(t, ctx, h)
}

// assertReaches allows for the seconds in which the machine remembers that nobody had that address.
func assertReaches(t *testing.T, ctx context.Context, h *Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	assert.NoError(t, retry(ctx, func() error {
		if !reaches(ctx, h) {
			return fmt.Errorf("%s does not answer at %s", h.Name, h.IP)
		}
		return nil
	}))
}

// reaches tries libvirt's TCP port from the machine itself.
func reaches(ctx context.Context, h *Host) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "virsh", "-c", "qemu+tcp://"+h.IP+"/system", "-q", "list").Run() == nil
}

func TestCrashBootAndPartition(t *testing.T) {
	ctx := needLab(t)
	l := newLab(t, ctx)
	h, err := l.AddHost(ctx, "alpha")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(h.file("lib", "images", "keep"), []byte("disk"), 0o600))

	begin := time.Now()
	require.NoError(t, h.Crash(ctx))
	took(t, "Crash", begin)
	assert.False(t, h.Running())
	_, err = h.Output(ctx, "true")
	assert.ErrorIs(t, err, ErrHostDown)
	assert.ErrorIs(t, h.Crash(ctx), ErrHostDown)
	assert.False(t, reaches(ctx, h), "a crashed host must not answer")

	begin = time.Now()
	require.NoError(t, h.Boot(ctx))
	took(t, "Boot", begin)
	assert.ErrorIs(t, h.Boot(ctx), ErrHostUp)
	out, err := h.Output(ctx, "cat", "/var/lib/libvirt/images/keep")
	require.NoError(t, err)
	assert.Equal(t, "disk", out)
	assertOutside(t, ctx, h)

	require.NoError(t, h.Partition(ctx, true))
	assert.False(t, reaches(ctx, h), "cut off")
	require.NoError(t, h.Crash(ctx))
	require.NoError(t, h.Boot(ctx))
	assert.False(t, reaches(ctx, h), "a boot does not mend the cut")
	require.NoError(t, h.Partition(ctx, false))
	assertOutside(t, ctx, h)
}

func TestLibvirtdDiesHangsAndReturns(t *testing.T) {
	ctx := needLab(t)
	h, err := newLab(t, ctx).AddHost(ctx, "h1")
	require.NoError(t, err)
	require.NoError(t, h.KillLibvirtd(ctx))
	assert.False(t, reaches(ctx, h))
	require.NoError(t, h.StartLibvirtd(ctx))
	assertReaches(t, ctx, h)
	require.NoError(t, h.HangLibvirtd(ctx, true))
	assert.False(t, reaches(ctx, h))
	require.NoError(t, h.HangLibvirtd(ctx, false))
	assertReaches(t, ctx, h)
}

func TestAnotherProcessTakesOver(t *testing.T) {
	ctx := needLab(t)
	made := newLab(t, ctx)
	h, err := made.AddNode(ctx, "c1")
	require.NoError(t, err)
	pid, err := h.Spawn(ctx, "sleeper", "sh", "-c", "echo hello; exec sleep 1000")
	require.NoError(t, err)

	l, err := Open(made.Dir())
	require.NoError(t, err)
	_, err = New(ctx, made.Dir(), Options{})
	assert.ErrorIs(t, err, ErrLabExists)
	same, err := l.Host("c1")
	require.NoError(t, err)
	_, err = same.Output(ctx, "pgrep", "-f", "sleep 1000")
	assert.NoError(t, err, "what Spawn started runs inside")
	_, err = l.AddNode(ctx, "c1")
	assert.ErrorIs(t, err, ErrHostExists)
	_, err = l.AddNode(ctx, "No Name")
	assert.ErrorContains(t, err, "No Name")

	require.NoError(t, l.Down(ctx))
	assert.NoError(t, waitGone(ctx, pid))
	assert.Empty(t, traces(t, l))
	assert.NoError(t, l.Down(ctx), "Down may be repeated")
}

func TestDownAfterTheCreatorDiedHalfWay(t *testing.T) {
	ctx := needLab(t)
	l := newLab(t, ctx)
	h, err := l.AddNode(ctx, "c1")
	require.NoError(t, err)
	require.NoError(t, os.Remove(h.file("pid")))
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, stateFile), []byte("{"), 0o644))
	require.NoError(t, l.Down(ctx), "names are enough")
	assert.Empty(t, traces(t, l))
}

func TestCommandsAndSignals(t *testing.T) {
	ctx := needLab(t)
	h, err := newLab(t, ctx).AddNode(ctx, "c1")
	require.NoError(t, err)

	here, err := os.Getwd()
	require.NoError(t, err)
	out, err := h.Output(ctx, "pwd")
	require.NoError(t, err)
	assert.Equal(t, here+"\n", out, "the working directory is kept")
	_, err = h.Output(ctx, "sh", "-c", "echo why >&2; exit 3")
	assert.ErrorContains(t, err, "why")

	cmd := h.Command(ctx, "sh", "-c", "trap 'echo bye; exit 7' TERM; echo on; while :; do sleep 0.01; done")
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	word := make([]byte, 3)
	_, err = pipe.Read(word)
	require.NoError(t, err)
	require.NoError(t, Signal(cmd, syscall.SIGTERM))
	assert.ErrorContains(t, cmd.Wait(), "exit status 7", "the status is that of the program inside")

	short, cancel := context.WithCancel(ctx)
	cmd = h.Command(short, "sleep", "1000")
	require.NoError(t, cmd.Start())
	var inside []int
	require.NoError(t, retry(ctx, func() error {
		if inside = children(cmd.Process.Pid); len(inside) == 0 {
			return os.ErrNotExist
		}
		return nil
	}))
	cancel()
	assert.Error(t, cmd.Wait())
	assert.NoError(t, waitGone(ctx, inside[0]), "ending the context ends the program inside")
}

func TestTwoLabsAtATime(t *testing.T) {
	ctx := needLab(t)
	a, b := newLab(t, ctx), newLab(t, ctx)
	_, err := a.AddNode(ctx, "c1")
	require.NoError(t, err)
	h, err := b.AddNode(ctx, "c1")
	require.NoError(t, err)
	assert.NotEqual(t, a.OutsideIP(), b.OutsideIP())
	require.NoError(t, a.Down(ctx))
	_, err = h.Output(ctx, "true")
	assert.NoError(t, err)
}

// A program whose parent dies before it is bound to it ends by itself.
func TestCommandEndsHoweverEarlyItsContextDoes(t *testing.T) {
	ctx := needLab(t)
	h, err := newLab(t, ctx).AddNode(ctx, "c1")
	require.NoError(t, err)
	for range 50 {
		short, cancel := context.WithCancel(ctx)
		cmd := h.Command(short, "sleep", "1000")
		require.NoError(t, cmd.Start())
		var inside []int
		for len(inside) == 0 && ctx.Err() == nil { // at its first moment, not at the next poll
			inside = children(cmd.Process.Pid)
		}
		cancel()
		require.NotEmpty(t, inside)
		assert.Error(t, cmd.Wait())
		require.NoError(t, waitGone(ctx, inside[0]))
	}
}
