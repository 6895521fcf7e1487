package env_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/env"
)

const webTemplate = `name: web
description: a web server
parameters:
- {name: memory, type: size, default: 256MiB, min: 64MiB, max: 4GiB}
- {name: cpus, type: int, default: "1", min: "1", max: "8"}
definition:
  cpus: ${cpus}
  memoryMB: ${memory}
  diskGB: 1
`

// Templates go with the cluster, and what comes of them is checked like any definition; a plan tells before a create does.
func TestMachinesAreMadeOfTemplates(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 1})
	shell, err := c.NewShell(t.TempDir())
	require.NoError(t, err)
	run := func(want int, args ...string) string {
		t.Helper()
		code, says := shell.Run(t.Context(), args...)
		require.Equal(t, want, code, says)
		return says
	}
	file := filepath.Join(t.TempDir(), "web.yaml")
	require.NoError(t, os.WriteFile(file, []byte(webTemplate), 0o600))
	require.Contains(t, run(0, "vm", "template", "list"), "linux-server", "presets come with the program")
	run(0, "vm", "template", "add", "-f", file)
	require.Contains(t, run(0, "vm", "template", "show", "web"), "from 64MiB to 4GiB")

	require.Contains(t, run(0, "vm", "plan", "web-1", "--template", "web", "--set", "cpus=2"), "it would run on host-1")
	require.Contains(t, run(0, "vm", "plan", "big", "--cpus", "1", "--memory", "1GiB", "--disk", "9500GiB"), "9216 GiB that are free", "which only the host knows")
	require.Contains(t, run(0, "vm", "list"), "no virtual machines", "a plan does nothing")
	run(0, "vm", "create", "web-1", "--template", "web", "--set", "cpus=2", "--set", "memory=512MiB")
	require.Contains(t, run(0, "vm", "list"), "512MiB")
	differs := run(0, "vm", "plan", "web-1", "--template", "web")
	require.Contains(t, differs, "-cpus: 2", "the difference to what is there")
	require.Contains(t, differs, "web-1 exists: novacron vm apply --dry-run tells")

	require.Contains(t, run(1, "vm", "create", "web-2", "--template", "web", "--set", "memory=5GiB"), "at most 4GiB")
	require.Contains(t, run(1, "vm", "create", "web-2", "--template", "web", "--set", "size=1"), "memory, cpus")
	require.Contains(t, run(1, "vm", "create", "web-2", "--template", "nope"), "vm template list")
	run(2, "vm", "create", "web-2", "--set", "memory=1GiB")
	require.Contains(t, run(1, "vm", "template", "delete", "tiny"), "not found")
	run(0, "vm", "template", "delete", "web")
	run(1, "vm", "create", "web-2", "--template", "web")
}
