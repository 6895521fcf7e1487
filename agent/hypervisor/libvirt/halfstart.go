package libvirt

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/novacron/novacron/agent/hypervisor"
)

// A libvirt daemon that is killed in a start, before it knows the number of the guest's process, leaves a status without
// one. The next daemon takes the guest for active and the start for under way, but passes over guests without a process
// when it looks for them: nobody ever ends that start, and whatever is to be done to the domain waits 30 s for its lock and
// fails, after further restarts too (seen with libvirt 9.0.0). With the number of a process that is gone, the next daemon
// finds out that the guest is, and tidies up all that the start had made.

// systemStatus is where the QEMU driver of a host's own libvirt keeps its status.
const systemStatus = "/run/libvirt/qemu"

// Numbers of processes in a status: none, and one that is beyond all that Linux gives.
const (
	noProcess   = "pid='0'"
	goneProcess = "pid='2147483647'"
)

// errAbandoned is a start that nobody ends.
var errAbandoned = errors.New("libvirt holds a lock on this machine for a start that ended when its daemon was killed: " +
	RestartAdvice + "; guests keep running")

// RestartAdvice is what an error asks an operator for where nothing else frees a machine.
const RestartAdvice = "restart libvirtd on this host (systemctl restart libvirtd)"

// statusDir holds a file for each guest that runs, and driver.pid, which the daemon keeps locked while it runs. The empty
// one knows nothing.
type statusDir string

// daemon tells whether a daemon runs, and since when.
func (d statusDir) daemon() (since time.Time, runs bool, err error) {
	file, err := os.Open(filepath.Join(string(d), "driver.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return since, false, nil
	}
	if err != nil {
		return since, false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return since, false, err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, &lock); err != nil {
		return since, false, fmt.Errorf("lock of %s: %w", file.Name(), err)
	}
	return info.ModTime(), lock.Type != unix.F_UNLCK, nil
}

// mend gives each machine of ours whose start died with a daemon the number of a process that is gone, and returns their
// names. A daemon that runs already sees it when it starts anew. Starts that are under way are left alone: their
// status is younger than the daemon.
func (d statusDir) mend() (mended []string, err error) {
	since, runs, err := d.daemon()
	if d == "" || err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(string(d), "*.xml"))
	for _, file := range files {
		status, younger, readErr := readStatus(file, since)
		if readErr != nil || runs && younger || !bytes.Contains(head(status), []byte(noProcess)) ||
			!bytes.Contains(status, []byte(hypervisor.MetadataNamespace)) {
			err = errors.Join(err, readErr)
			continue
		}
		if writeErr := replace(file, bytes.Replace(status, []byte(noProcess), []byte(goneProcess), 1)); writeErr != nil {
			err = errors.Join(err, writeErr)
			continue
		}
		mended = append(mended, strings.TrimSuffix(filepath.Base(file), ".xml"))
	}
	return mended, err
}

// abandoned tells whether the daemon that runs holds on to a start of an earlier one.
func (d statusDir) abandoned(id, name string) bool {
	since, runs, err := d.daemon()
	if err != nil || !runs {
		return false
	}
	status, younger, err := readStatus(filepath.Join(string(d), name+".xml"), since)
	if err != nil || !bytes.Contains(status, []byte("<uuid>"+id+"</uuid>")) {
		return false
	}
	// One that was mended before the daemon began has been seen by it.
	return !younger && bytes.Contains(head(status), []byte(noProcess)) || younger && bytes.Contains(head(status), []byte(goneProcess))
}

// readStatus gives nothing where a guest has ended meanwhile, and tells whether the file is younger than a daemon.
func readStatus(file string, since time.Time) (status []byte, younger bool, err error) {
	info, err := os.Stat(file)
	if err == nil {
		status, err = os.ReadFile(file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return status, !info.ModTime().Before(since), nil
}

// head is the opening tag of a status: the number of the guest's process stands in it.
func head(status []byte) []byte {
	_, rest, _ := bytes.Cut(status, []byte("<domstatus "))
	tag, _, _ := bytes.Cut(rest, []byte(">"))
	return tag
}

// replace leaves the old content or the new under a name that libvirt reads, never a part.
func replace(file string, content []byte) error {
	draft := file + ".mended"
	if err := os.WriteFile(draft, content, 0o600); err != nil {
		return err
	}
	return os.Rename(draft, file)
}
