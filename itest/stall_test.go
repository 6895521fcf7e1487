package itest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// replacedWithin is how long a controller whose disk hangs may lead on.
const replacedWithin = 8 * time.Second

// hangingDisk is a file system of its own that can be made to hang.
type hangingDisk struct {
	t   *testing.T
	dir string
}

// newHangingDisk mounts a small file system at dir; the hosts of a lab that is made later see it.
func newHangingDisk(t *testing.T, dir string) *hangingDisk {
	t.Helper()
	image := filepath.Join(t.TempDir(), "disk.ext4")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	command(t, "truncate", "-s", "1G", image)
	command(t, "mkfs.ext4", "-q", "-F", image)
	command(t, "mount", "-o", "loop", image, dir)
	d := &hangingDisk{t: t, dir: dir}
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return exec.Command("umount", dir).Run() == nil }, patience, 100*time.Millisecond)
	})
	return d
}

// hang lasts until free or the end of the test: what waits for the disk cannot be killed meanwhile.
func (d *hangingDisk) hang() {
	d.t.Cleanup(func() { _ = exec.Command("fsfreeze", "--unfreeze", d.dir).Run() }) // it may not hang any more
	command(d.t, "fsfreeze", "--freeze", d.dir)
}

func (d *hangingDisk) free() { command(d.t, "fsfreeze", "--unfreeze", d.dir) }

func command(t *testing.T, argv ...string) {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	require.NoError(t, err, "%s: %s", strings.Join(argv, " "), out)
}

// A controller whose disk hangs while it leads makes room, and comes back as a follower once the disk is well.
func TestAControllerWithAHangingDiskIsReplaced(t *testing.T) {
	if testing.Short() || os.Geteuid() != 0 {
		t.Skip("mounts a file system: needs root, and not in a short run")
	}
	base := t.TempDir()
	disk := newHangingDisk(t, filepath.Join(base, "disk"))
	f := startFleetAt(t, fleetPlan{alone: true, controllers: []string{"c1", "c2", "c3"}, dataDirs: map[string]string{"c1": filepath.Join(disk.dir, "c1")}})
	if f.leader() != "c1" {
		f.must("cluster", "transfer-leader", "c1")
	}
	disk.hang()
	began := time.Now()
	writing, cancel := context.WithTimeout(f.ctx, 60*time.Second)
	defer cancel()
	require.NoError(t, f.Await(writing, "another leader", func(ctx context.Context) error {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		result := f.CLI(try, "cluster", "token", "create", "--role", "viewer", "--timeout", "1500ms")
		if result.Code != 0 {
			return &lacking{result.Err}
		}
		return nil
	}))
	took := time.Since(began)
	t.Logf("a write worked again %s after the disk hung", took)
	require.Less(t, took, replacedWithin)
	require.NotEqual(t, "c1", f.leader())
	disk.free()
	require.NoError(t, f.AwaitDeath(f.ctx, "c1"))
	require.NoError(t, f.Start(f.ctx, "c1"))
	require.NoError(t, f.Await(f.ctx, "all controllers to be healthy", f.healthy))
}

func (f *fleet) healthy(ctx context.Context) error {
	health := f.CLI(ctx, "cluster", "health")
	if health.Code != 0 || !strings.Contains(health.Out, "May fail:  1 of 3") {
		return &lacking{health.Out + health.Err}
	}
	return nil
}
