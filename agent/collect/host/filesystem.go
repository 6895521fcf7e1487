package host

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/shirou/gopsutil/v4/disk"
	"golang.org/x/sys/unix"
)

// notCounted are file systems without space of their own.
var notCounted = map[string]bool{
	"tmpfs": true, "ramfs": true, "devtmpfs": true, "overlay": true, "squashfs": true, "iso9660": true, "erofs": true, "proc": true, "sysfs": true,
	"cgroup": true, "cgroup2": true, "devpts": true, "mqueue": true, "debugfs": true, "tracefs": true, "securityfs": true, "pstore": true, "bpf": true,
	"hugetlbfs": true, "fusectl": true, "configfs": true, "autofs": true, "binfmt_misc": true, "rpc_pipefs": true, "nsfs": true, "efivarfs": true, "selinuxfs": true,
}

// remote are file systems on other machines: asking one whose server is gone blocks in the kernel.
var remote = map[string]bool{
	"nfs": true, "nfs4": true, "cifs": true, "smb3": true, "smbfs": true, "ceph": true, "9p": true, "afs": true, "lustre": true, "gfs2": true, "ocfs2": true, "virtiofs": true,
}

func isRemote(fstype string) bool {
	return remote[fstype] || strings.HasPrefix(fstype, "fuse.") && fstype != "fuse.fuseblk"
}

// mountWatch knows the mounts that have been asked and have not answered.
type mountWatch struct {
	mu     sync.Mutex
	asking map[string]bool
}

func (w *mountWatch) hangs(mountpoint string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asking[mountpoint]
}

// begin tells whether a mount may be asked: the last question has been answered.
func (w *mountWatch) begin(mountpoint string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asking[mountpoint] {
		return false
	}
	w.asking[mountpoint] = true
	return true
}

func (w *mountWatch) end(mountpoint string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.asking, mountpoint)
}

// sized is a mount with its size.
type sized struct {
	disk.PartitionStat
	size unix.Statfs_t
	err  error
}

// filesystems asks every mount by itself. One that does not answer in time is left out, told, and not asked again
// before it has.
func (c *Collector) filesystems(ctx context.Context, b *batch) error {
	mounts, err := c.mounted(ctx)
	if err != nil {
		return err
	}
	answers := make(chan sized, len(mounts))
	waiting, stuck := map[string]bool{}, map[string]bool{}
	for _, m := range mounts {
		if !c.mounts.begin(m.Mountpoint) {
			stuck[m.Mountpoint] = true
			continue
		}
		waiting[m.Mountpoint] = true
		go func() {
			size, err := c.cfg.Statfs(m.Mountpoint)
			c.mounts.end(m.Mountpoint)
			answers <- sized{m, size, err}
		}()
	}
	ctx, cancel := context.WithTimeout(ctx, statfsPatience)
	defer cancel()
	for len(waiting) > 0 && ctx.Err() == nil {
		select {
		case a := <-answers:
			delete(waiting, a.Mountpoint)
			if a.err == nil {
				a.tell(b)
			}
		case <-ctx.Done():
		}
	}
	maps.Copy(stuck, waiting)
	if len(stuck) > 0 {
		return fmt.Errorf("%d mounts do not answer, %v: is a disk or server away?", len(stuck), slices.Sorted(maps.Keys(stuck)))
	}
	return nil
}

func (a sized) tell(b *batch) {
	block := float64(a.size.Frsize)
	labels := []string{"mountpoint", a.Mountpoint, "device", a.Device, "fstype", a.Fstype}
	b.add("host_filesystem_size_bytes", float64(a.size.Blocks)*block, labels...)
	b.add("host_filesystem_available_bytes", float64(a.size.Bavail)*block, labels...)
	b.add("host_filesystem_free_bytes", float64(a.size.Bfree)*block, labels...)
	b.add("host_filesystem_inodes", float64(a.size.Files), labels...)
	b.add("host_filesystem_inodes_free", float64(a.size.Ffree), labels...)
}

// mounted lists the mounts to ask: each place once, the one on top of it, which is the last. A folder of a file system
// that is mounted elsewhere again is none.
func (c *Collector) mounted(ctx context.Context) ([]disk.PartitionStat, error) {
	all, err := disk.PartitionsWithContext(ctx, true)
	if err != nil {
		return nil, err
	}
	byPlace := map[string]int{}
	var mounts []disk.PartitionStat
	for _, m := range all {
		if i, again := byPlace[m.Mountpoint]; again {
			mounts[i] = m
			continue
		}
		byPlace[m.Mountpoint] = len(mounts)
		mounts = append(mounts, m)
	}
	kept := mounts[:0]
	for _, m := range mounts {
		if !notCounted[m.Fstype] && !slices.Contains(m.Opts, "bind") && (c.cfg.NetworkFilesystems || !isRemote(m.Fstype)) {
			kept = append(kept, m)
		}
	}
	return kept, nil
}
