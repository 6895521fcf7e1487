package lab

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed debian/90-lab.cfg
var cloudConfig []byte

// ErrNoDebian means that the machine lacks what builds a Debian.
var ErrNoDebian = errors.New("lab: no Debian can be built")

// RootArgs have the kernel and initrd of a Guest start the Debian on the guest's first virtio disk.
const RootArgs = KernelArgs + " net.ifnames=0 nc.root=/dev/vda"

const (
	debianFormat = "1"   // changes when the same packages would give another Debian
	debianMiB    = 448   // the file system has some 170 MiB to spare, and grows with its disk
	dirMode      = 0o755 // of folders
)

// debianPackages come to those that are essential, with what they depend on.
func debianPackages() []string {
	return []string{"systemd-sysv", "udev", "cloud-init", "e2fsprogs", "iproute2", "kmod", "openssh-server"}
}

// debianLeavesOut are files that no test reads.
func debianLeavesOut() []string {
	return []string{"/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/i18n/*"}
}

// debianMasks are units that take time at a start and show nothing.
func debianMasks() []string {
	return []string{
		"getty-static.service", "getty@tty1.service", "systemd-pstore.service", "e2scrub_reap.service", "e2scrub_all.timer",
		"fstrim.timer", "dpkg-db-backup.timer",
	}
}

// BuildDebian makes a disk, in qcow2, with a whole Debian of the machine's release: systemd, cloud-init, an SSH server and a
// login on the first serial port. It holds an ext4 file system without partitions and no kernel: start it with those of a
// Guest and RootArgs. It takes 512 MiB of memory. The disk lies below dir, where one that was made of the same packages is
// found again; it is an overlay's base, not to be written to. Without mmdebstrap the error is ErrNoDebian.
func BuildDebian(ctx context.Context, dir string, log *slog.Logger) (disk string, err error) {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return "", fmt.Errorf("%w: %w: run deploy/setup.sh --lab", ErrNoDebian, err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	files, err := packageFiles(ctx, debianPackages())
	if err != nil {
		return "", err
	}
	made := fmt.Append(nil, debianFormat, files, debianLeavesOut(), debianMasks(), debianMiB)
	disk = filepath.Join(dir, "debian-"+digest(made, cloudConfig)+".qcow2")
	if _, err := os.Stat(disk); !errors.Is(err, fs.ErrNotExist) {
		return disk, err
	}
	begin := time.Now()
	if err := buildDebian(ctx, dir, disk); err != nil {
		return "", err
	}
	logger(log).Info("a Debian is built", "disk", disk, "took", time.Since(begin).Round(time.Millisecond))
	return disk, nil
}

// buildDebian puts a disk in the place of those that were made before.
func buildDebian(ctx context.Context, dir, disk string) error {
	sources, suite, err := debianSources(ctx)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(dir, "debian-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	root, raw, packed := filepath.Join(tmp, "root"), filepath.Join(tmp, "raw"), filepath.Join(tmp, "qcow2")
	if _, err := run(ctx, "", bootstrap(suite, root, sources)...); err != nil {
		return fmt.Errorf("%w: the packages come from the mirrors that apt is set up with", err)
	}
	if err := settle(root); err != nil {
		return fmt.Errorf("lab: set up a Debian: %w", err)
	}
	for _, argv := range [][]string{
		{"mke2fs", "-q", "-F", "-t", "ext4", "-d", root, raw, fmt.Sprint(debianMiB, "M")},
		{"qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, packed},
	} {
		if _, err := run(ctx, "", argv...); err != nil {
			return err
		}
	}
	old, err := filepath.Glob(filepath.Join(dir, "debian-*.qcow2"))
	for _, file := range old {
		err = errors.Join(err, os.Remove(file))
	}
	return errors.Join(err, os.Rename(packed, disk))
}

func bootstrap(suite, root string, sources []string) []string {
	argv := []string{"mmdebstrap", "--quiet", "--variant=essential", "--include=" + strings.Join(debianPackages(), ","),
		"--aptopt=Acquire::Languages \"none\"", "--aptopt=Acquire::Retries \"5\""}
	for _, pattern := range debianLeavesOut() {
		argv = append(argv, "--dpkgopt=path-exclude="+pattern)
	}
	return append(append(argv, suite, root), sources...)
}

// settle prepares a root file system for its first start, at which cloud-init sets up the network.
func settle(root string) error {
	units := filepath.Join(root, "etc/systemd/system")
	err := errors.Join(
		os.WriteFile(filepath.Join(root, "etc/cloud/cloud.cfg.d/90-lab.cfg"), cloudConfig, 0o644),
		os.WriteFile(filepath.Join(root, "etc/machine-id"), nil, 0o444), // the first start makes one
		os.MkdirAll(filepath.Join(units, "multi-user.target.wants"), dirMode),
		os.Symlink("/lib/systemd/system/systemd-networkd.service", filepath.Join(units, "multi-user.target.wants/systemd-networkd.service")),
	)
	keys, _ := filepath.Glob(filepath.Join(root, "etc/ssh/ssh_host_*")) // the pattern is well formed
	for _, key := range keys {
		err = errors.Join(err, os.Remove(key))
	}
	for _, unit := range debianMasks() {
		link := filepath.Join(units, unit)
		if e := os.Remove(link); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
		err = errors.Join(err, os.Symlink("/dev/null", link))
	}
	return err
}

// debianSources are the lines of sources.list for the mirrors of Debian that apt is set up with, and the release's name.
func debianSources(ctx context.Context) (lines []string, suite string, err error) {
	out, err := apt(ctx, "", "indextargets", "--format", "$(ORIGIN) deb $(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
	if err != nil {
		return nil, "", err
	}
	return sourcesIn(string(out))
}

func sourcesIn(targets string) (lines []string, suite string, err error) {
	for line := range strings.Lines(targets) {
		source, ours := strings.CutPrefix(strings.TrimSpace(line), "Debian ")
		if ours && !slices.Contains(lines, source) {
			lines = append(lines, source)
		}
	}
	if len(lines) == 0 {
		return nil, "", fmt.Errorf("lab: apt is set up with no mirror of Debian, but with these: %s", targets)
	}
	slices.SortStableFunc(lines, func(a, b string) int { return len(release(a)) - len(release(b)) })
	return lines, release(lines[0]), nil
}

// release is the third word of a line of sources.list; that of updates is the release's with more behind it.
func release(line string) string { return strings.Fields(line)[2] }
