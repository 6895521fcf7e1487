package lab

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

//go:embed guest
var guestFiles embed.FS

// KernelArgs are what every test guest needs on its kernel command line. Without no_timer_check some guests hang at
// boot when the machine is busy; panic=1 makes a broken one restart instead of standing still.
const KernelArgs = "console=ttyS0 no_timer_check panic=1 quiet"

// UpMark starts the line that a guest prints on its serial console when it is ready; the host name follows.
const UpMark = "GUEST-UP"

// guestFormat changes when the same packages and scripts would give another guest.
const guestFormat = "3"

// Guest is a small Linux for tests: Debian's cloud kernel with busybox, virtio drivers, DHCP, an ACPI daemon, the
// QEMU guest agent, a web server on port 80 and a shell on the first serial port. It needs 96 MiB and no disk.
type Guest struct {
	Kernel string // path of the kernel
	Initrd string // path of the initial root file system
}

func guestIn(dir string) Guest {
	return Guest{Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd.gz")}
}

// BuildGuest makes the test guest in a folder below dir, from packages of the machine's Debian that apt downloads
// but does not install. What was built from the same versions is returned at once.
func BuildGuest(ctx context.Context, dir string, log *slog.Logger) (Guest, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Guest{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Guest{}, err
	}
	unlock, err := lock(ctx, dir)
	if err != nil {
		return Guest{}, err
	}
	defer unlock()
	if g, ok := builtSince(dir); ok {
		return g, nil
	}
	return buildGuest(ctx, dir, logger(log))
}

func buildGuest(ctx context.Context, dir string, log *slog.Logger) (Guest, error) {
	begin := time.Now()
	kernel, err := kernelPackage(ctx)
	if err != nil {
		return Guest{}, err
	}
	packages := append([]string{kernel}, guestPackages()...)
	files, err := packageFiles(ctx, packages)
	if err != nil {
		return Guest{}, err
	}
	home := filepath.Join(dir, "guest-"+digest(fmt.Append(nil, files), inputs()))
	if _, err := os.Stat(home); errors.Is(err, fs.ErrNotExist) {
		log.Info("building the test guest", "kernel", kernel, "dir", home)
		if err := buildInto(ctx, home, packages); err != nil {
			return Guest{}, err
		}
		log.Info("test guest is built", "took", time.Since(begin).Round(time.Millisecond))
	}
	return guestIn(home), os.WriteFile(stampFile(dir), []byte(home), 0o644)
}

// buildInto fills a folder of another name first: home exists only when it is complete.
func buildInto(ctx context.Context, home string, packages []string) error {
	tmp := home + ".new"
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(tmp, 0o755)); err != nil {
		return err
	}
	t, err := unpack(ctx, tmp, packages, wanted)
	if err != nil {
		return err
	}
	if err := t.writeGuest(guestIn(tmp)); err != nil {
		return err
	}
	return os.Rename(tmp, home)
}

// stampFile names the guest of the last build; asking apt takes a second, so that is done again only after its
// package lists or what we put into a guest have changed.
func stampFile(dir string) string {
	lists := "none"
	if s, err := os.Stat("/var/lib/apt/lists"); err == nil {
		lists = s.ModTime().String()
	}
	return filepath.Join(dir, ".guest-"+digest([]byte(lists), inputs()))
}

func builtSince(dir string) (Guest, bool) {
	home, err := os.ReadFile(stampFile(dir))
	if err != nil {
		return Guest{}, false
	}
	g := guestIn(string(home))
	_, err = os.Stat(g.Initrd)
	return g, err == nil
}

// inputs is what of ours goes into a guest.
func inputs() []byte {
	all := fmt.Appendln(nil, guestFormat, guestPackages(), guestModules(), rootModules())
	entries, _ := fs.Glob(guestFiles, "guest/*") // the pattern is well formed
	for _, name := range entries {
		b, _ := guestFiles.ReadFile(name) // embedded: cannot fail
		all = append(all, b...)
	}
	return all
}

func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}
