package itest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/itest/lab"
)

// agentCommand asks the agent in a guest, without NovaCron in between.
func (f *fleet) agentCommand(host, vm, command string, arguments map[string]any) (json.RawMessage, error) {
	text, err := json.Marshal(map[string]any{"execute": command, "arguments": arguments})
	require.NoError(f.t, err)
	out, err := f.on(host, "virsh", "-q", "qemu-agent-command", vm, string(text))
	if err != nil {
		return nil, &lacking{out + err.Error()}
	}
	var reply struct {
		Return json.RawMessage `json:"return"`
	}
	err = json.Unmarshal([]byte(out), &reply)
	return reply.Return, err
}

// inGuest reads a file in a guest.
func (f *fleet) inGuest(host, vm, path string) (string, error) {
	var handle int
	opened, err := f.agentCommand(host, vm, "guest-file-open", map[string]any{"path": path})
	if err != nil {
		return "", err
	}
	require.NoError(f.t, json.Unmarshal(opened, &handle))
	var content struct {
		Text string `json:"buf-b64"`
	}
	read, err := f.agentCommand(host, vm, "guest-file-read", map[string]any{"handle": handle, "count": 4096})
	if err != nil {
		return "", err
	}
	require.NoError(f.t, json.Unmarshal(read, &content))
	if _, err := f.agentCommand(host, vm, "guest-file-close", map[string]any{"handle": handle}); err != nil {
		return "", err
	}
	text, err := base64.StdEncoding.DecodeString(content.Text)
	return string(text), err
}

// guestKiB is the memory that a guest says it has.
func (f *fleet) guestKiB(host, vm string) (int, error) {
	text, err := f.inGuest(host, vm, "/proc/meminfo")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return 0, &lacking{text}
	}
	return strconv.Atoi(fields[1])
}

func (f *fleet) definitionFile(text string) string {
	path := filepath.Join(f.t.TempDir(), "definition.yaml")
	require.NoError(f.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// guestCPUs are the CPUs that a guest sees.
func (f *fleet) guestCPUs(host, vm string) (int, error) {
	var cpus []json.RawMessage
	answer, err := f.agentCommand(host, vm, "guest-get-vcpus", map[string]any{})
	if err != nil {
		return 0, err
	}
	err = json.Unmarshal(answer, &cpus)
	return len(cpus), err
}

const appliedDefinition = `name: web-1
cpus: 1
cpu: {max: 2}
memoryMB: 192
diskGB: 1
machine: pc-q35-7.1
networkInterfaces:
  - {network: lan, address: 10.91.0.77}
boot: {kernel: guest-kernel, initrd: guest-initrd, cmdline: "%s nc.name=web-1"}
stopTimeoutSeconds: 20
`

func TestADefinitionIsApplied(t *testing.T) {
	f := startFleet(t, []string{"c1"}, []string{"h1"})
	f.must("network", "create", lan, "--mode", "isolated", "--subnet", lanSubnet, "--assign")
	f.must("security-group", "create", "quiet", "-f", f.rulesFile("rules:\n  - {protocol: icmp}\n"))
	first := fmt.Sprintf(appliedDefinition, lab.KernelArgs)
	path := f.definitionFile(first)
	f.await("the network to be there", func() error {
		if out := f.must("network", "show", lan); !strings.Contains(out, "active") {
			return &lacking{out}
		}
		return nil
	})
	f.must("vm", "apply", "-f", path)
	f.booted("web-1")
	f.agentAnswers("web-1")
	instance := f.instances("h1")

	shown := f.definitionFile(f.must("vm", "show", "web-1", "--definition"))
	record := f.must("vm", "show", "web-1", "-o", "json")
	for _, same := range []string{path, shown} {
		require.Contains(t, f.must("vm", "apply", "-f", same), "web-1: nothing to change")
	}
	require.Equal(t, generationOf(t, record), generationOf(t, f.must("vm", "show", "web-1", "-o", "json")))

	f.appliesLive(t, first)
	before := generationOf(t, f.must("vm", "show", "web-1", "-o", "json"))
	refused := f.CLI(f.ctx, "vm", "apply", "-f", shown, "--memory", "256MiB", "--machine", "pc", "--image", "guest-kernel")
	require.Equal(t, 1, refused.Code)
	for _, text := range []string{"memoryMB", "stop it first", "of the family q35", "create the machine anew", "image", "delete the machine and create it anew"} {
		require.Contains(t, refused.Err, text)
	}
	require.Equal(t, before, generationOf(t, f.must("vm", "show", "web-1", "-o", "json")))
	require.Equal(t, instance, f.instances("h1"), "it was the same guest all the time")
	f.appliesStopped(t)
	f.must("vm", "delete", "web-1", "--yes", "--force")
	f.requireNothing("h1")
}

func generationOf(t *testing.T, record string) string {
	t.Helper()
	var r struct {
		Generation string `json:"generation"`
	}
	require.NoError(t, json.Unmarshal([]byte(record), &r))
	require.NotEmpty(t, r.Generation)
	return r.Generation
}

// appliesLive changes everything that a running guest can be changed in, and looks for it in the guest and in libvirt.
func (f *fleet) appliesLive(t *testing.T, first string) {
	f.stranger("h1", hypervisor.BridgeName(f.clusterID(), lan))
	f.await("the guest to be reached", func() error { return f.reaches("h1", lanAddress, "80") })
	next := strings.NewReplacer("cpus: 1", "cpus: 2", "diskGB: 1", "diskGB: 2\nrootDisk: {qos: {totalIOPS: 500}}\nmemory: {initialMB: 128}\nlabels: {tier: web}\nrestartPolicy: never",
		"10.91.0.77}", "10.91.0.77, securityGroup: quiet}").Replace(first)
	path := f.definitionFile(next)
	plan := f.must("vm", "apply", "-f", path, "--dry-run")
	for _, line := range []string{"cpus: 1 -> 2 (live)", "diskGB: 1 -> 2 (live)", "memory.initialMB: (none) -> 128 (live)", "labels[tier]: (none) -> web (noted)",
		"securityGroup: (none) -> quiet (live)"} {
		require.Contains(t, plan, line)
	}
	require.Contains(t, f.virsh("h1", "vcpucount", "web-1", "--live", "--current"), "1", "a dry run changes nothing")
	f.must("vm", "apply", "-f", path)
	f.await("two CPUs in the guest", func() error {
		if n, err := f.guestCPUs("h1", "web-1"); err != nil || n != 2 {
			return &lacking{fmt.Sprint(n, err)}
		}
		return nil
	})
	f.await("the larger disk in the guest", func() error {
		if text, err := f.inGuest("h1", "web-1", "/sys/block/vda/size"); err != nil || strings.TrimSpace(text) != strconv.Itoa(2<<30/512) {
			return &lacking{fmt.Sprint(text, err)}
		}
		return nil
	})
	f.await("the balloon", func() error {
		if out := f.virsh("h1", "dommemstat", "web-1"); !strings.Contains(out, "actual 131072") {
			return &lacking{out}
		}
		return nil
	})
	require.Contains(t, f.virsh("h1", "blkdeviotune", "web-1", "vda"), "total_iops_sec : 500")
	require.Contains(t, f.virsh("h1", "dumpxml", "web-1", "--inactive"), `<on_crash>destroy</on_crash>`)
	f.await("the packets to be dropped", func() error {
		if f.reaches("h1", lanAddress, "80") == nil {
			return &lacking{"a connection"}
		}
		return nil
	})
	require.Contains(t, f.must("vm", "list", "-l", "tier=web"), "web-1")
	require.Contains(t, f.must("vm", "apply", "-f", path), "nothing to change")
}

// appliesStopped changes what takes a stopped machine, and finds it after the next start.
func (f *fleet) appliesStopped(t *testing.T) {
	f.must("vm", "stop", "web-1")
	shown := f.definitionFile(f.must("vm", "show", "web-1", "--definition"))
	older := f.CLI(f.ctx, "vm", "apply", "-f", shown, "--machine", "pc-q35-7.0")
	require.Contains(t, older.Err, "pc-q35-7.1 or newer")
	f.must("vm", "apply", "-f", f.definitionFile(strings.Replace(f.must("vm", "show", "web-1", "--definition"), "initialMB: 128", "initialMB: 0", 1)),
		"--machine", "pc-q35-7.2", "--memory", "256MiB", "--disk", "3GiB")
	f.must("vm", "start", "web-1")
	f.booted("web-1")
	require.Contains(t, f.virsh("h1", "dumpxml", "web-1"), "machine='pc-q35-7.2'")
	f.await("the memory in the guest", func() error {
		if kib, err := f.guestKiB("h1", "web-1"); err != nil || kib < 200<<10 {
			return &lacking{fmt.Sprint(kib, err)}
		}
		return nil
	})
	size, err := f.inGuest("h1", "web-1", "/sys/block/vda/size")
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(3<<30/512), strings.TrimSpace(size))
}
