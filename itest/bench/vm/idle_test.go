//go:build cgo && libvirt_dlopen

package vm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/novacron/novacron/itest/env"
	"github.com/novacron/novacron/itest/lab"
)

const (
	// idleBound is the most that an agent may hold that has nothing to do.
	idleBound = 60 << 20
	// settles is how long an agent is left alone before it counts as idle: its start has been forgotten by then.
	settles = time.Minute
)

// TestBenchIdleAgent prints what an agent on a host with libvirt and no guest holds of the memory, its program included.
func TestBenchIdleAgent(t *testing.T) {
	if os.Getenv("NOVACRON_BENCH") != "1" {
		t.Skip("a benchmark: set NOVACRON_BENCH=1")
	}
	if err := lab.Supported(); err != nil {
		t.Skipf("no lab: %v", err)
	}
	f, err := env.StartFleet(t.Context(), env.FleetOptions{
		Dir: filepath.Join(t.TempDir(), "fleet"), Binary: program(t), Controllers: []string{"c1"}, Agents: []string{"h1"},
		Logger: slog.New(slog.DiscardHandler),
	})
	if f != nil {
		t.Cleanup(func() { require.NoError(t, f.Close(context.WithoutCancel(t.Context()))) })
	}
	require.NoError(t, err)
	<-time.After(settles)
	held, err := f.Resident("h1")
	require.NoError(t, err)
	fmt.Printf("bench vm idle_agent_rss peer=bound ours=%.1fMiB theirs=%dMiB ratio=%.2f\n", float64(held)/(1<<20), idleBound>>20, idleBound/float64(held))
}

// program builds the binary, and has the kernel forget its pages: those that a linker has just written are in pieces so
// large that all of the program would count as held, which a host that was started since does not see.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "novacron")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "libvirt_dlopen", "-o", path, "github.com/novacron/novacron").CombinedOutput()
	require.NoError(t, err, "%s", out)
	file, err := os.Open(path)
	require.NoError(t, err)
	fd := int(file.Fd())
	require.NoError(t, errors.Join(unix.Fsync(fd), unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED), file.Close()))
	return path
}
