package env_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// diskless is a machine of which nothing lies on its host.
func diskless(name, policy, host string) *novacronv1.VMSpec {
	spec := small(name)
	spec.DiskGb, spec.EvacuationPolicy = 0, proto.String(policy)
	if host != "" {
		spec.Placement = &novacronv1.Placement{NotHosts: []string{host}}
	}
	return spec
}

func drainPlan(ctx context.Context, client *env.Client, host string) (map[string]*novacronv1.DrainStep, error) {
	answer, err := client.Hosts.PlanDrain(ctx, connect.NewRequest(&novacronv1.PlanDrainRequest{Host: host}))
	if err != nil {
		return nil, err
	}
	steps := map[string]*novacronv1.DrainStep{}
	for _, step := range answer.Msg.GetSteps() {
		steps[step.GetVmName()] = step
	}
	return steps, nil
}

func drained(client *env.Client, host string) func(context.Context) error {
	return func(ctx context.Context) error {
		steps, err := drainPlan(ctx, client, host)
		for _, step := range steps {
			if step.GetAction() != novacronv1.DrainAction_DRAIN_ACTION_STAY {
				err = errors.Join(err, fmt.Errorf("%s", step))
			}
		}
		return err
	}
}

func runsOn(ctx context.Context, host *env.Member, id string) bool {
	domain, err := host.Host.Driver.Domain(ctx, id)
	return err == nil && domain.State == "running"
}

func TestADrainDoesWhatThePlanSays(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 2})
	client := admin(t, c, followers(t, c)[0].Name)
	ids := map[string]string{}
	with := func(spec *novacronv1.VMSpec) {
		spec.Placement = nil
		create(t, client, spec)
		vm := waitPhase(t, client, spec.GetName(), running)
		require.Equal(t, "host-1", vm.GetHostName())
		ids[spec.GetName()] = vm.GetId()
	}
	for _, policy := range []string{"migrate", "restart", "stop", "never"} {
		with(diskless(policy, policy, ""))
	}
	with(small("disk"))
	plan, err := drainPlan(t.Context(), client, "host-1")
	require.NoError(t, err)
	require.Len(t, plan, 5)
	for name, action := range map[string]novacronv1.DrainAction{
		"migrate": novacronv1.DrainAction_DRAIN_ACTION_MOVE, "restart": novacronv1.DrainAction_DRAIN_ACTION_MOVE,
		"stop": novacronv1.DrainAction_DRAIN_ACTION_STOP, "never": novacronv1.DrainAction_DRAIN_ACTION_STAY, "disk": novacronv1.DrainAction_DRAIN_ACTION_STAY,
	} {
		require.Equal(t, action, plan[name].GetAction(), plan[name])
	}
	require.Equal(t, "host-2", plan["migrate"].GetToHost())

	_, err = client.Hosts.DrainHost(t.Context(), connect.NewRequest(&novacronv1.DrainHostRequest{Host: "host-1"}))
	require.NoError(t, err)
	waitFor(t, "host-1 to be drained", drained(client, "host-1"))
	for _, name := range []string{"migrate", "restart"} {
		moved := waitPhase(t, client, name, running)
		require.Equal(t, "host-2", moved.GetHostName())
		require.EqualValues(t, 2, moved.GetEpoch())
		require.True(t, runsOn(t.Context(), c.Member("host-2"), ids[name]))
		_, err := c.Member("host-1").Host.Driver.Domain(t.Context(), ids[name])
		require.Error(t, err, "nothing of it is left behind")
	}
	require.Equal(t, "host-1", waitPhase(t, client, "stop", stopped).GetHostName())
	for _, name := range []string{"never", "disk"} {
		require.Equal(t, "host-1", waitPhase(t, client, name, running).GetHostName())
		require.True(t, runsOn(t.Context(), c.Member("host-1"), ids[name]))
	}
	create(t, client, diskless("late", "never", "host-2"))
	waitFor(t, "the refusal", says(client, "late", "1 by a host not wanted, 1 by draining"))
	_, err = client.Hosts.DrainHost(t.Context(), connect.NewRequest(&novacronv1.DrainHostRequest{Host: "host-1", Cancel: true}))
	require.NoError(t, err)
	require.Equal(t, "host-1", waitPhase(t, client, "late", running).GetHostName())
}

// One owner: an agent that dies in the middle of letting go keeps its machine until it has come back and said that it is gone.
func TestADrainWaitsForTheWordOfTheHost(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 2})
	client, old := admin(t, c, ""), c.Member("host-1")
	create(t, client, diskless("vm", "restart", ""))
	vm := waitPhase(t, client, "vm", running)
	require.Equal(t, "host-1", vm.GetHostName())
	old.Host.Fail("Kill", errors.New("the process does not end"))
	old.Host.Fail("Shutdown", errors.New("the guest does not hear"))
	_, err := client.Hosts.DrainHost(t.Context(), connect.NewRequest(&novacronv1.DrainHostRequest{Host: "host-1"}))
	require.NoError(t, err)
	waitFor(t, "the host to let go", func(ctx context.Context) error {
		steps, err := drainPlan(ctx, client, "host-1")
		if err == nil && !steps["vm"].GetUnderWay() {
			err = fmt.Errorf("%s", steps["vm"])
		}
		return err
	})
	require.NoError(t, old.Stop())
	require.True(t, runsOn(t.Context(), old, vm.GetId()))
	waitFor(t, "the host to be down", func(ctx context.Context) error {
		answer, err := client.Hosts.GetHost(ctx, connect.NewRequest(&novacronv1.GetHostRequest{Host: "host-1"}))
		if state := answer.Msg.GetHost().GetState(); err == nil && state != novacronv1.HostState_HOST_STATE_DOWN {
			err = errors.New(state.String())
		}
		return err
	})
	answer, err := client.VMs.GetVM(t.Context(), connect.NewRequest(&novacronv1.GetVMRequest{Vm: "vm"}))
	require.NoError(t, err)
	require.Equal(t, "host-1", answer.Msg.GetVm().GetHostName(), "its host is silent, and may run it")
	require.Contains(t, answer.Msg.GetVm().GetStatus().GetMessage(), "not started elsewhere before that host confirms that it stopped")
	_, err = c.Member("host-2").Host.Driver.Domain(t.Context(), vm.GetId())
	require.Error(t, err)

	old.Host.Fail("Kill", nil)
	old.Host.Fail("Shutdown", nil)
	require.NoError(t, old.Start(t.Context()))
	require.Equal(t, "host-2", func() string {
		var host string
		waitFor(t, "the machine to be elsewhere", func(ctx context.Context) error {
			answer, err := client.VMs.GetVM(ctx, connect.NewRequest(&novacronv1.GetVMRequest{Vm: "vm"}))
			if host = answer.Msg.GetVm().GetHostName(); err == nil && answer.Msg.GetVm().GetStatus().GetPhase() != running {
				err = errors.New(answer.Msg.GetVm().GetStatus().String())
			}
			return err
		})
		return host
	}())
	require.False(t, runsOn(t.Context(), old, vm.GetId()))
}
