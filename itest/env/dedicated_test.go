package env_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

func dedicated(name string, cpus uint32) *novacronv1.VMSpec {
	spec := small(name)
	spec.Cpus, spec.Cpu = cpus, &novacronv1.CPUSpec{Dedicated: proto.Bool(true)}
	return spec
}

// pins are what a domain on a host says of its virtual CPUs.
func pins(t *testing.T, host *env.Member, id string) (sets []string) {
	t.Helper()
	domain, err := host.Host.Driver.Domain(t.Context(), id)
	require.NoError(t, err)
	var x struct {
		Pins []struct {
			VCPU   string `xml:"vcpu,attr"`
			CPUSet string `xml:"cpuset,attr"`
		} `xml:"cputune>vcpupin"`
	}
	require.NoError(t, xml.Unmarshal([]byte(domain.XML), &x))
	for _, pin := range x.Pins {
		sets = append(sets, pin.VCPU+"="+pin.CPUSet)
	}
	return sets
}

// Dedicated CPUs are chosen by the cluster, near each other, written into the domain, kept over every restart, counted
// against the others and given back at the end.
func TestDedicatedCPUsAreChosenKeptAndGivenBack(t *testing.T) {
	t.Parallel()
	sockets := []hypervisor.CPUNode{{ID: 0, Cores: [][]int{{0, 4}, {1, 5}}}, {ID: 1, Cores: [][]int{{2, 6}, {3, 7}}}}
	c := env.New(t, env.Options{Controllers: 1, Agents: 1,
		Host: func(string) fake.Options {
			return fake.Options{Facts: hypervisor.HostFacts{CPUs: 8, CPUNodes: sockets}}
		},
		Agent: func(string) node.AgentConfig { return node.AgentConfig{CPUOvercommit: 2} },
	})
	client, host := admin(t, c, ""), c.Member("host-1")
	plan, err := client.VMs.PlanVM(t.Context(), connect.NewRequest(&novacronv1.PlanVMRequest{Spec: dedicated("one", 2)}))
	require.NoError(t, err)
	require.Contains(t, plan.Msg.GetDomainXml(), `cpuset="4"`)
	require.Empty(t, plan.Msg.GetSpec().GetCpu().GetPinning(), "where it will be is not what was asked for")

	create(t, client, dedicated("one", 2))
	one := waitPhase(t, client, "one", running)
	require.Equal(t, []string{"0=0", "1=4"}, pins(t, host, one.GetId()), "the siblings of a core")
	create(t, client, dedicated("two", 3))
	two := waitPhase(t, client, "two", running)
	require.Equal(t, []string{"0=2", "1=6", "2=3"}, pins(t, host, two.GetId()), "the node that has room for all")
	pinned := small("pinned")
	pinned.Cpu = &novacronv1.CPUSpec{Pinning: []*novacronv1.CPUPin{{HostCpus: "1"}}}
	create(t, client, pinned)
	waitPhase(t, client, "pinned", running)

	create(t, client, dedicated("three", 3))
	waitFor(t, "the refusal", says(client, "three", "1 by dedicated CPUs (3 asked for)"))
	greedy := small("greedy")
	greedy.Cpus = 6 // three CPUs are left and carry six; one of these floats already
	create(t, client, greedy)
	waitFor(t, "the refusal", says(client, "greedy", "1 by CPU (6 asked for)"))
	meddler := small("meddler")
	meddler.Cpu = &novacronv1.CPUSpec{Pinning: []*novacronv1.CPUPin{{HostCpus: "0,5"}}}
	create(t, client, meddler)
	waitFor(t, "the refusal", says(client, "meddler", "1 by CPUs dedicated to others (0,5 asked for)"))

	remove(t, client, "greedy") // who waits is placed in no order: three shall be the next that fits
	waitGone(t, client, "greedy")

	require.NoError(t, host.Restart(t.Context()))
	require.NoError(t, c.Member("controller-1").Restart(t.Context()))
	waitFor(t, "the cluster to settle", c.Settle)
	client = admin(t, c, "")
	require.Equal(t, two.GetHostCpus().GetOwn(), waitPhase(t, client, "two", running).GetHostCpus().GetOwn())
	require.Equal(t, []string{"0=2", "1=6", "2=3"}, pins(t, host, two.GetId()))

	remove(t, client, "two")
	waitGone(t, client, "two")
	three := waitPhase(t, client, "three", running)
	require.Equal(t, []string{"0=2", "1=6", "2=3"}, pins(t, host, three.GetId()))
	remove(t, client, "one")
	waitGone(t, client, "one")
	require.Equal(t, []string{"0=0,5"}, pins(t, host, waitPhase(t, client, "meddler", running).GetId()), "they are nobody's own any more")
}

// A machine without CPUs of its own leaves those of a dedicated one as soon as it runs.
func TestFloatingMachinesMakeRoom(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1, Host: func(string) fake.Options {
		return fake.Options{Facts: hypervisor.HostFacts{CPUs: 4}}
	}})
	client, host := admin(t, c, ""), c.Member("host-1")
	create(t, client, small("floating"))
	floating := waitPhase(t, client, "floating", running)
	create(t, client, dedicated("own", 2))
	waitPhase(t, client, "own", running)
	at := func(want string) func(context.Context) error {
		return func(context.Context) error {
			if has := strings.Join(pins(t, host, floating.GetId()), " "); has != want {
				return fmt.Errorf("it runs on %q", has)
			}
			return nil
		}
	}
	waitFor(t, "the machine to make room", at("0=2-3"))
	remove(t, client, "own")
	waitGone(t, client, "own")
	waitFor(t, "the machine to have all CPUs again", at("0=0-3"))
}
