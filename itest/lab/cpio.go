package lab

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
)

// archive writes an initial root file system: the «newc» form of cpio, which the kernel documents in
// driver-api/early-userspace/buffer-format. Device nodes are mere records in it, so writing one takes no root.
// Parents are added as needed; everything belongs to root and has no time, so equal input gives equal bytes.
type archive struct {
	w     io.Writer
	err   error // the first one
	inode int
	size  int64
	dirs  []string
}

// Types of file as the archive has them.
const (
	cpioDir  = 0o040000
	cpioFile = 0o100000
	cpioLink = 0o120000
	cpioChar = 0o020000
)

func (a *archive) file(name string, mode fs.FileMode, data []byte) {
	a.parents(name)
	a.record(name, cpioFile|int(mode.Perm()), data, 0, 0)
}

func (a *archive) link(name, target string) {
	a.parents(name)
	a.record(name, cpioLink|0o777, []byte(target), 0, 0)
}

func (a *archive) charDevice(name string, mode fs.FileMode, major, minor int) {
	a.parents(name)
	a.record(name, cpioChar|int(mode.Perm()), nil, major, minor)
}

func (a *archive) dir(name string) {
	if name == "." || slices.Contains(a.dirs, name) {
		return
	}
	a.parents(name)
	a.dirs = append(a.dirs, name)
	a.record(name, cpioDir|0o755, nil, 0, 0)
}

func (a *archive) parents(name string) { a.dir(path.Dir(name)) }

// record writes one header of 110 bytes, the name and the data, the latter two padded to 4 bytes.
func (a *archive) record(name string, mode int, data []byte, major, minor int) {
	a.inode++
	a.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0))
	a.write(append([]byte(name), 0))
	a.pad()
	a.write(data)
	a.pad()
}

func (a *archive) pad() { a.write(make([]byte, (4-a.size%4)%4)) }

func (a *archive) write(b []byte) {
	if a.err != nil {
		return
	}
	n, err := a.w.Write(b)
	a.size, a.err = a.size+int64(n), err
}

// close ends the archive and reports what went wrong since its start.
func (a *archive) close() error {
	a.record("TRAILER!!!", 0, nil, 0, 0)
	return a.err
}
