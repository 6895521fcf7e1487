package agent

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// hostBoot names the present life of the host: the kernel's boot, and the start of its first process, which a container
// has of its own. It is empty where the system does not tell.
func hostBoot() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	stat, err := os.ReadFile("/proc/1/stat")
	if err != nil {
		return ""
	}
	_, after, _ := bytes.Cut(stat, []byte(") ")) // the name before may hold blanks
	fields := strings.Fields(string(after))
	const startTime = 19 // field 22 of proc(5), the 20th behind the name
	if len(fields) <= startTime {
		return ""
	}
	return strings.TrimSpace(string(boot)) + "/" + fields[startTime]
}

// bootFile remembers the last life of the host whose machines were all started again.
func (d *daemon) bootFile() string { return filepath.Join(d.cfg.Node.DataDir, "boot") }

// hostBooted tells whether the host has started again since the machines on it were last in order.
func (d *daemon) hostBooted() bool {
	last, err := os.ReadFile(d.bootFile())
	if errors.Is(err, fs.ErrNotExist) {
		d.bootSettled() // the first life that this agent sees
		return false
	}
	now := hostBoot()
	return err == nil && now != "" && string(last) != now
}

func (d *daemon) bootSettled() {
	if err := os.WriteFile(d.bootFile(), []byte(hostBoot()), 0o600); err != nil {
		d.logger.Warn("the host's boot cannot be remembered; machines that stop now may be started after the next start of the agent", "error", err)
	}
}
