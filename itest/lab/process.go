package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pollEvery is the pace of waiting for what the kernel gives no event for.
const pollEvery = 10 * time.Millisecond

// retry repeats an attempt until it succeeds or the context ends.
func retry(ctx context.Context, attempt func() error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := attempt()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// startTime tells a process from a later one with the same number: clock ticks since boot; "" when there is none or
// only a zombie.
func startTime(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the name in parentheses, which may hold blanks.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return ""
	}
	return f[19]
}

// children lists the processes that the main thread of pid has started.
func children(pid int) []int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", pid))
	if err != nil {
		return nil
	}
	return pids(string(b))
}

func pids(list string) (all []int) {
	for _, f := range strings.Fields(list) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 1 {
			all = append(all, pid)
		}
	}
	return all
}

// killAll kills every process that a cgroup.procs file lists.
func killAll(file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		return
	}
	for _, pid := range pids(string(b)) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // one that is gone already is fine
	}
}

// waitGone waits until the process has ended, be it a child of ours or not.
func waitGone(ctx context.Context, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lab: watch process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }()
	return retry(ctx, func() error {
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int((5 * pollEvery).Milliseconds()))
		if n > 0 {
			return nil
		}
		return fmt.Errorf("lab: process %d has not ended", pid)
	})
}
