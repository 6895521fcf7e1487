package itest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/lab"
)

const policyDefinition = `name: %[1]s
cpus: 1
memoryMB: 96
restartPolicy: %[1]s
networkInterfaces: [{network: default}]
boot: {kernel: guest-kernel, initrd: guest-initrd, cmdline: "%[2]s nc.name=%[1]s"}
`

// policies makes machines that are called as their policy, and waits for their guests.
func (f *fleet) policies(names ...string) {
	f.t.Helper()
	for _, name := range names {
		path := filepath.Join(f.t.TempDir(), name+".yaml")
		require.NoError(f.t, os.WriteFile(path, fmt.Appendf(nil, policyDefinition, name, lab.KernelArgs), 0o600))
		f.must("vm", "create", "-f", path)
		f.agentAnswers(name)
	}
}

// powersOff has a guest end by its own will, which the host is not asked for.
func (f *fleet) powersOff(name string) {
	f.t.Helper()
	_, err := f.agentCommand("h1", name, "guest-exec", map[string]any{"path": "/bin/sh", "arg": []string{"-c", "sleep 1; poweroff -f"}})
	require.NoError(f.t, err)
}

// dies takes a guest's hypervisor process away.
func (f *fleet) dies(name string) {
	f.t.Helper()
	f.onMust("h1", "sh", "-c", "kill -9 $(cat /run/libvirt/qemu/"+name+".pid)")
}

// instance is the number of a machine's running instance, empty while it is off.
func (f *fleet) instance(name string) string {
	f.t.Helper()
	for _, line := range f.instances("h1") {
		if fields := strings.Fields(line); slices.Contains(fields, name) {
			return fields[0]
		}
	}
	return ""
}

func (f *fleet) restarted(name, before string) {
	f.t.Helper()
	f.await(name+" to run anew", func() error {
		if now := f.instance(name); now == "" || now == before {
			return &lacking{f.virsh("h1", "list", "--all")}
		}
		return nil
	})
	f.requirePhase(name, "running")
}

func (f *fleet) isOff(name, why string) {
	f.t.Helper()
	f.await(name+" to be off", func() error {
		if state := f.virsh("h1", "domstate", name, "--reason"); state != "shut off ("+why+")" {
			return &lacking{state}
		}
		return nil
	})
	f.requirePhase(name, "stopped")
}

// TestMachinesFollowTheirRestartPolicy has guests power off and hypervisors die. Those that are to stay off go first: when
// the last one has come back, the agent has looked at them and let them be.
func TestMachinesFollowTheirRestartPolicy(t *testing.T) {
	f := startFleet(t, []string{"c1"}, []string{"h1"})
	names := []string{"never", "on-failure", "always"}
	f.policies(names...)

	before := f.instance("always")
	for _, name := range names {
		f.powersOff(name)
	}
	f.isOff("never", "shutdown")
	f.isOff("on-failure", "shutdown")
	f.restarted("always", before)
	require.Empty(t, f.instance("never")+f.instance("on-failure"), "they ended as they wanted")

	f.must("vm", "start", "never")
	f.must("vm", "start", "on-failure")
	numbers := map[string]string{}
	for _, name := range names {
		numbers[name] = f.instance(name)
		require.NotEmpty(t, numbers[name], name)
	}
	for _, name := range names {
		f.dies(name)
	}
	f.isOff("never", "crashed")
	f.restarted("on-failure", numbers["on-failure"])
	f.restarted("always", numbers["always"])
	require.Empty(t, f.instance("never"))

	f.must("vm", "delete", "never", "on-failure", "always", "--force", "--yes")
	f.requireNothing("h1")
}
