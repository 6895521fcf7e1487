package lab

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed host/init.sh
var initScript []byte

// joinScript enters the control groups whose files precede the «--», then becomes the command after it.
const joinScript = `while [ "$1" != -- ]; do echo $$ >"$1" || exit 125; shift; done; shift; exec "$@"`

// Boot starts a host that is down, as after Crash: an empty /run, a new network, the disks as they were. It returns
// when the host's libvirt answers.
func (h *Host) Boot(ctx context.Context) error {
	unlock, err := lock(ctx, h.Dir())
	if err != nil {
		return err
	}
	defer unlock()
	if h.Running() {
		return fmt.Errorf("%w: %q", ErrHostUp, h.Name)
	}
	begin := time.Now()
	if err := h.boot(ctx); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), downPatience)
		defer cancel()
		return errors.Join(fmt.Errorf("lab: boot host %q: %w", h.Name, err), h.stop(undo))
	}
	h.lab.log.Info("host is up", "host", h.Name, "ip", h.IP, "libvirt", h.Libvirt, "took", time.Since(begin).Round(time.Millisecond))
	return nil
}

func (h *Host) boot(ctx context.Context) error {
	for _, step := range []func(context.Context) error{h.stop, h.plug, func(context.Context) error { return h.makeCgroups() }, h.launch} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// launch starts the first process and waits for it to say that the host is ready.
func (h *Host) launch(ctx context.Context) error {
	cmd, err := h.bootCommand()
	if err != nil {
		return err
	}
	log, err := os.Create(h.file("init.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	ready, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{theirs}
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // the host may end at any time; while this process lives it must not leave a zombie
	if err := h.awaitReady(ctx, ready, cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill() // takes the first process with it
		return err
	}
	return nil
}

// bootCommand composes the chain of programs, one process all along: enter the control groups, make them the root
// of a cgroup namespace, enter the network, and start the first process in namespaces of its own.
func (h *Host) bootCommand() (*exec.Cmd, error) {
	roots, leaves, err := h.joinFiles()
	if err != nil {
		return nil, err
	}
	argv := append([]string{"-c", joinScript, "novacron-lab"}, roots...)
	argv = append(argv, "--", "unshare", "--cgroup", "bash", "-c", joinScript, "novacron-lab")
	argv = append(argv, leaves...)
	argv = append(argv, "--", "nsenter", "--net="+filepath.Join(netnsDir, h.netns()),
		"unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "bash", h.file("init.sh"))
	cmd := exec.Command("bash", argv...) //nolint:noctx // a host outlives the process that starts it
	env, err := h.bootEnv()
	cmd.Env = env
	// A session of its own: an interrupt typed at the creator's terminal is not for the lab.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, err
}

func (h *Host) bootEnv() ([]string, error) {
	trees, err := hierarchies()
	var v1 []string
	for _, t := range trees {
		if !t.v2() {
			v1 = append(v1, strings.Join(t.controllers, ","))
		}
	}
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
		"LAB_NAME=" + h.Name,
		"LAB_DIR=" + h.Dir(),
		"LAB_HOSTS=" + h.lab.hostsFile(),
		"LAB_LIBVIRT=" + strconv.FormatBool(h.Libvirt),
		"LAB_CGROUPS=" + strings.Join(v1, " "), // empty means v2
	}, err
}

// awaitReady reads the line «ready» from the first process, or the end of the pipe when it has failed. The process
// around it keeps the pipe open, so the end does not come with success.
func (h *Host) awaitReady(ctx context.Context, ready *os.File, outer int) error {
	defer context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Unix(1, 0)) })()
	word, err := bufio.NewReader(ready).ReadString('\n')
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("not ready: %w; its log says: %s", context.Cause(ctx), h.logTail())
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case word != "ready\n":
		return fmt.Errorf("its first process failed; its log says: %s", h.logTail())
	}
	first := children(outer)
	if len(first) != 1 {
		return fmt.Errorf("process %d has children %v, want exactly one; its log says: %s", outer, first, h.logTail())
	}
	return pidRecord{outer: outer, first: first[0], start: startTime(first[0])}.write(h.file("pid"))
}

// logTail is the end of what the first process wrote, for error messages.
func (h *Host) logTail() string {
	b, err := os.ReadFile(h.file("init.log"))
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-800):]))
}
