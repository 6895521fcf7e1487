package lab

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

//go:embed host/pool.xml
var poolXML []byte

//go:embed host/network.xml
var networkXML []byte

// qemuConf runs guests as root without labels or device nodes of their own: with another user or remembered owners
// libvirt examines QEMU anew for every guest, which takes seconds under load.
const qemuConf = `user = "root"
group = "root"
security_driver = "none"
remember_owner = 0
namespaces = []
swtpm_user = "root"
swtpm_group = "root"
migration_host = "%[1]s"
migration_address = "%[1]s"
`

// libvirtdConf lets hosts of the lab migrate guests to each other without asking who they are: nobody else is there.
const libvirtdConf = `listen_tls = 0
listen_tcp = 1
listen_addr = "%s"
auth_tcp = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
host_uuid = "%s"
`

// prepare writes the host's files: what is a disk of its own on a real machine.
func (h *Host) prepare() error {
	if err := os.MkdirAll(h.Dir(), 0o755); err != nil {
		return err
	}
	files := map[string][]byte{"init.sh": initScript}
	if h.Libvirt {
		files["etc/qemu.conf"] = fmt.Appendf(nil, qemuConf, h.IP)
		files["etc/libvirtd.conf"] = fmt.Appendf(nil, libvirtdConf, h.IP, hostUUID(h.lab.id, h.Name))
		files["etc/storage/default.xml"] = poolXML
		files["etc/qemu/networks/default.xml"] = networkXML
	}
	for name, data := range files {
		if err := h.write(name, data); err != nil {
			return err
		}
	}
	if !h.Libvirt {
		return nil
	}
	return h.prepareLibvirt()
}

func (h *Host) write(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(h.file(name)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(h.file(name), data, 0o644)
}

func (h *Host) prepareLibvirt() error {
	for _, d := range []string{"lib/images", "cache", "log", "tpm/authority", "tpm/log", "etc/storage/autostart", "etc/qemu/networks/autostart"} {
		if err := os.MkdirAll(h.file(d), 0o755); err != nil {
			return err
		}
	}
	return errors.Join(
		os.Symlink("/etc/libvirt/storage/default.xml", h.file("etc/storage/autostart/default.xml")),
		os.Symlink("/etc/libvirt/qemu/networks/default.xml", h.file("etc/qemu/networks/autostart/default.xml")),
		h.copyFilters())
}

// copyFilters takes over the network filters that come with libvirt (clean-traffic and its parts), and nothing else
// of the machine's own configuration: its guests, networks and pools are not ours.
func (h *Host) copyFilters() error {
	const filters = "/etc/libvirt/nwfilter"
	if _, err := os.Stat(filters); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return os.CopyFS(h.file("etc/nwfilter"), os.DirFS(filters))
}

// URI is the address of the host's libvirt for a client on the machine, outside of the host. It holds until the
// host goes down: each boot has another.
func (h *Host) URI() (string, error) {
	root, err := h.Root()
	if err != nil {
		return "", err
	}
	return "qemu+unix:///system?socket=" + root + "/run/libvirt/libvirt-sock", nil
}

// KillLibvirtd ends the host's libvirt daemon at once; guests run on. It returns when the daemon is gone.
func (h *Host) KillLibvirtd(ctx context.Context) error {
	_, err := h.Output(ctx, "sh", "-c", `pid=$(cat /run/libvirtd.pid) && kill -KILL "$pid" && tail -s 0.02 --pid="$pid" -f /dev/null`)
	return err
}

// StartLibvirtd starts the host's libvirt daemon after KillLibvirtd and waits until it answers.
func (h *Host) StartLibvirtd(ctx context.Context) error {
	_, err := h.Output(ctx, "sh", "-c", "libvirtd -d -l && exec virsh -q -c qemu:///system net-list")
	return err
}

// HangLibvirtd makes the host's libvirt daemon stop answering while its sockets stay open, or lets it go on.
func (h *Host) HangLibvirtd(ctx context.Context, hang bool) error {
	sig := "CONT"
	if hang {
		sig = "STOP"
	}
	_, err := h.Output(ctx, "sh", "-c", "kill -"+sig+` "$(cat /run/libvirtd.pid)"`)
	return err
}

// Supported tells whether this machine can run a lab; the error, an ErrUnsupported, names what is missing and how
// to get it.
func Supported() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: namespaces and mounts take root: run as root", ErrUnsupported)
	}
	var missing []string
	for _, p := range []string{"libvirtd", "virtlogd", "virsh", "qemu-system-x86_64", "qemu-img", "dnsmasq", "ip", "unshare", "nsenter", "setpriv"} {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, p)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: not installed: %s: run deploy/setup.sh --lab", ErrUnsupported, strings.Join(missing, ", "))
	}
	return canUnshare()
}

// canUnshare catches containers that show root but lack its powers.
func canUnshare() error {
	cmd := exec.Command("true") //nolint:noctx // ends at once
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: creating a namespace: %w: run on the machine itself or in a privileged container", ErrUnsupported, err)
	}
	return nil
}
