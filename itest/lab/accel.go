package lab

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The types of libvirt domain that KVMWorks chooses between.
const (
	KVM      = "kvm"
	Emulated = "qemu"
)

const (
	sectorPatience = 2 * time.Second  // a processor that runs natively takes a tenth of it
	guestPatience  = 15 * time.Second // likewise
	exitCode       = 85               // what QEMU ends with when the sector below has run: 42<<1 | 1
)

// bootSector tells QEMU to end: mov dx,0xf4; mov al,42; out dx,al; then halts for good.
func bootSector() []byte {
	b := append([]byte{0xba, 0xf4, 0x00, 0xb0, 42, 0xee, 0xf4, 0xeb, 0xfd}, make([]byte, 501)...)
	return append(b, 0x55, 0xaa)
}

// KVMWorks returns KVM when a guest really comes up under it within a deadline, else Emulated. An openable
// /dev/kvm proves nothing: nested virtualization may run a boot sector, slowly, and hang a kernel. So first
// a boot sector must be quick, then the guest given, from BuildGuest, must report itself.
func KVMWorks(ctx context.Context, g Guest) string {
	if sectorRuns(ctx) && guestRuns(ctx, g) {
		return KVM
	}
	return Emulated
}

func sectorRuns(ctx context.Context) bool {
	dir, err := os.MkdirTemp("", "novacron-kvm-")
	if err != nil {
		return false
	}
	defer func() { _ = os.RemoveAll(dir) }()
	disk := filepath.Join(dir, "disk")
	if os.WriteFile(disk, bootSector(), 0o600) != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, sectorPatience)
	defer cancel()
	cmd := underKVM(ctx, "-m", "16", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-drive", "format=raw,if=ide,file="+disk)
	_ = cmd.Run() // the exit status or the output tells
	return cmd.ProcessState.ExitCode() == exitCode
}

func guestRuns(ctx context.Context, g Guest) bool {
	ctx, cancel := context.WithTimeout(ctx, guestPatience)
	defer cancel()
	cmd := underKVM(ctx, "-m", "128", "-serial", "stdio", "-no-reboot", "-kernel", g.Kernel, "-initrd", g.Initrd, "-append", KernelArgs)
	seen := &watcher{word: []byte(UpMark), found: cancel}
	cmd.Stdout = seen
	_ = cmd.Run() // the exit status or the output tells
	return seen.ok
}

func underKVM(ctx context.Context, args ...string) *exec.Cmd {
	common := strings.Fields("-accel kvm -nodefaults -no-user-config -display none")
	return exec.CommandContext(ctx, "qemu-system-x86_64", append(common, args...)...)
}

// watcher calls found when the word has gone by.
type watcher struct {
	word  []byte
	found func()
	ok    bool
	tail  []byte
}

func (w *watcher) Write(b []byte) (int, error) {
	w.tail = append(w.tail, b...)
	if !w.ok && bytes.Contains(w.tail, w.word) {
		w.ok = true
		w.found()
	}
	w.tail = w.tail[max(0, len(w.tail)-len(w.word)):]
	return len(b), nil
}
