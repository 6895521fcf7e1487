package durable_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// disk is an ext4 file system in a file, whose power can be cut: what was not brought into stable storage by then is
// gone, data and names alike.
type disk struct {
	t           testing.TB
	image, root string
}

// goDown is ext4's ioctl that stops a file system at once; with this flag, without writing its journal first.
const (
	goDown        = 0x8004587d
	withoutFlush  = 2
	diskMegabytes = 96
)

// newDisk makes the disk, or skips the test where that is not possible.
func newDisk(t testing.TB) *disk {
	if os.Geteuid() != 0 {
		t.Skip("a power cut is made on a file system of its own, which only root can mount")
	}
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "image"), root: t.TempDir()}
	require.NoError(t, os.WriteFile(d.image, nil, 0o600))
	require.NoError(t, os.Truncate(d.image, diskMegabytes<<20))
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Skipf("no ext4 file system can be made here: %v: %s", err, out)
	}
	if err := d.mount(); err != nil {
		t.Skipf("no file can be mounted as a disk here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, d.unmount()) })
	return d
}

func (d *disk) mount() error {
	return said(exec.Command("mount", "-o", "loop,nosuid", d.image, d.root).CombinedOutput())
}

func (d *disk) unmount() error { return said(exec.Command("umount", d.root).CombinedOutput()) }

func said(out []byte, err error) error {
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// cut is the power cut: from now on nothing more reaches the disk, and all that had not is lost.
func (d *disk) cut() {
	root, err := os.Open(d.root)
	require.NoError(d.t, err)
	defer root.Close()
	require.NoError(d.t, unix.IoctlSetPointerInt(int(root.Fd()), goDown, withoutFlush))
}

// restart mounts the disk again, whose journal is replayed. It mounts a copy: a process that has gone to a mount
// namespace of its own meanwhile keeps the stopped file system, and the same file would be mounted as that one again.
func (d *disk) restart() {
	require.NoError(d.t, d.unmount())
	require.NoError(d.t, said(exec.Command("cp", "--sparse=always", d.image, d.image+".next").CombinedOutput()))
	require.NoError(d.t, os.Remove(d.image))
	require.NoError(d.t, os.Rename(d.image+".next", d.image))
	require.NoError(d.t, d.mount())
}

// tear adds to the newest segment of the log what a disk may leave behind the last sector that was asked for: nothing,
// zeros, noise, or the begin of a record.
func tear(t testing.TB, rng *rand.Rand, dir string) {
	segments, err := filepath.Glob(filepath.Join(dir, "log", "????????????????"))
	require.NoError(t, err)
	if len(segments) == 0 {
		return
	}
	slices.Sort(segments)
	newest := segments[len(segments)-1]
	content, err := os.ReadFile(newest)
	require.NoError(t, err)
	tail := make([]byte, 1+rng.IntN(3000))
	switch rng.IntN(4) {
	case 0:
		return
	case 1: // zeros
	case 2:
		for i := range tail {
			tail[i] = byte(rng.Uint32())
		}
	case 3:
		tail = content[:rng.IntN(min(len(content), 16)+1)] // less than a frame
	}
	file, err := os.OpenFile(newest, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = file.Write(tail)
	require.NoError(t, errors.Join(err, file.Sync(), file.Close()))
}

// TestPowerCuts cuts the power of a disk under a working store again and again. With the policy that syncs every batch
// all that was acknowledged is there; with the one that syncs now and then, all that was acknowledged before the last
// sync began. Whatever of the rest is there is as it was written.
func TestPowerCuts(t *testing.T) {
	for _, sync := range []time.Duration{0, 20 * time.Millisecond} {
		t.Run(fmt.Sprintf("sync %s", sync), func(t *testing.T) {
			rounds := 25
			if testing.Short() {
				rounds = 4
			}
			d := newDisk(t)
			o := newOrdeal(t, filepath.Join(d.root, "store"), sync)
			for range rounds {
				o.round(func(cmd *exec.Cmd) {
					// In a power cut nothing is told any more: what the kernel says of the failing disk does not count.
					o.deaf.Store(time.Now().UnixNano())
					d.cut()
					require.NoError(t, cmd.Process.Kill())
				})
				d.restart()
				tear(t, o.rng, o.dir)
				o.check()
			}
			t.Logf("%d power cuts, %d operations, %d of them not promised; %s", o.rounds, o.operations, o.unsure, o.files())
			require.Greater(t, o.operations-o.unsure, 5*rounds)
		})
	}
}
