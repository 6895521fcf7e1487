package env_test

import (
	"context"
	"errors"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

func TestControllersKnowWhatGuestsTell(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1})
	client := admin(t, c, "")
	made := create(t, client, small("web"))
	waitPhase(t, client, "web", running)
	guest := func(there bool) func(context.Context) error {
		return func(ctx context.Context) error {
			answer, err := client.VMs.GetVM(ctx, connect.NewRequest(&novacronv1.GetVMRequest{Vm: "web"}))
			if err == nil && (answer.Msg.GetVm().GetStatus().GetGuest().GetHostname() == made.GetId()) != there {
				err = errors.New(answer.Msg.GetVm().GetStatus().String())
			}
			return err
		}
	}
	waitFor(t, "the guest's word", guest(true))
	power(t, client, "web", novacronv1.PowerState_POWER_STATE_STOPPED)
	waitPhase(t, client, "web", stopped)
	waitFor(t, "a stopped guest to have nothing to say", guest(false))
}

// TestUnlikeHostsHaveABaseline: as soon as hosts differ, machines that may move get the best processor that all have; those
// that stay get their host's own.
func TestUnlikeHostsHaveABaseline(t *testing.T) {
	t.Parallel()
	processors := map[string][]string{"host-1": {"Nehalem", "SandyBridge", "qemu64"}, "host-2": {"EPYC", "Nehalem", "qemu64"}}
	c := env.New(t, env.Options{Controllers: 1, Agents: 2, Host: func(name string) fake.Options {
		return fake.Options{Facts: hypervisor.HostFacts{Accelerator: hypervisor.AcceleratorKVM, CPUSignature: name, Guest: &hypervisor.GuestFacts{
			Migratable: true, CPUModels: processors[name], CPUModes: []string{"host-passthrough", "host-model", "custom"},
		}}}
	}})
	client := admin(t, c, "")
	waitFor(t, "a baseline", func(ctx context.Context) error {
		answer, err := client.Hosts.ListHosts(ctx, connect.NewRequest(&novacronv1.ListHostsRequest{}))
		if err != nil {
			return err
		}
		for _, host := range answer.Msg.GetHosts() {
			if host.GetCpuBaseline() != "Nehalem" {
				return errors.New(host.GetName() + ": " + host.GetCpuBaseline())
			}
		}
		return nil
	})
	for policy, xml := range map[string]string{"migrate": `>Nehalem</model>`, "never": `mode="host-passthrough"`} {
		spec := small("vm-" + policy)
		spec.EvacuationPolicy = proto.String(policy)
		made := create(t, client, spec)
		placed := waitPhase(t, client, spec.GetName(), running)
		domain, err := c.Member(placed.GetHostName()).Host.Driver.Domain(t.Context(), made.GetId())
		require.NoError(t, err)
		require.Contains(t, domain.XML, xml, policy)
	}
}
