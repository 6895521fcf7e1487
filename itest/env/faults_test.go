package env_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/itest/env"
	"github.com/novacron/novacron/itest/fault"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

const failed = novacronv1.VMPhase_VM_PHASE_FAILED

// pointsOf are the fail points of one operation on a host.
func pointsOf(operation string) []string {
	return slices.DeleteFunc(hypervisor.FaultPoints(), func(point string) bool {
		return !strings.HasPrefix(point, "hypervisor."+operation+".")
	})
}

// withImage is a machine whose create passes every fail point.
func withImage(name string) *novacronv1.VMSpec {
	spec := small(name)
	spec.Image = "disk"
	return spec
}

func cluster(t *testing.T) (*env.Cluster, *env.Client, *env.Member) {
	t.Helper()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1})
	client := admin(t, c, "")
	addImage(t, client, "disk", bytes.Repeat([]byte("sector"), 1<<10))
	return c, client, c.Member("host-1")
}

// hangAt waits until the host's agent hangs at a point, then restarts it.
func hangAt(t *testing.T, host *env.Member, point string) {
	t.Helper()
	require.Eventually(t, func() bool { return host.Host.Faults.Hits(point) > 0 }, patience, 10*time.Millisecond, "%s is not passed", point)
	require.NoError(t, host.Stop())
	host.Host.Faults.Disarm(point)
	require.NoError(t, host.Start(t.Context()))
}

func TestAgentRestartedInAnyStepOfACreate(t *testing.T) {
	if testing.Short() {
		t.Skip("restarts an agent 22 times")
	}
	t.Parallel()
	c, client, host := cluster(t)
	for i, point := range append(pointsOf("create"), pointsOf("import")...) {
		t.Run(point, func(t *testing.T) {
			name := fmt.Sprintf("vm-%d", i)
			host.Host.Faults.Arm(point, fault.Hang)
			create(t, client, withImage(name))
			hangAt(t, host, point)
			waitPhase(t, client, name, running)
			domains, err := host.Host.Driver.Domains(t.Context())
			require.NoError(t, err)
			require.Len(t, domains, 1)
			remove(t, client, name)
			waitGone(t, client, name)
			require.Empty(t, leftovers(c))
		})
	}
}

func TestAgentRestartedInAnyStepOfADelete(t *testing.T) {
	if testing.Short() {
		t.Skip("restarts an agent 12 times")
	}
	t.Parallel()
	c, client, host := cluster(t)
	for i, point := range pointsOf("delete") {
		t.Run(point, func(t *testing.T) {
			name := fmt.Sprintf("vm-%d", i)
			create(t, client, withImage(name))
			waitPhase(t, client, name, running)
			host.Host.Faults.Arm(point, fault.Hang)
			remove(t, client, name)
			hangAt(t, host, point)
			waitGone(t, client, name)
			require.Empty(t, leftovers(c))
		})
	}
}

func TestFailedCreateSaysWhyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	c, client, host := cluster(t)
	for i, point := range pointsOf("create") {
		t.Run(point, func(t *testing.T) {
			name := fmt.Sprintf("vm-%d", i)
			host.Host.Faults.Arm(point, fault.Error)
			create(t, client, withImage(name))
			vm := waitPhase(t, client, name, failed)
			host.Host.Faults.Disarm(point)
			require.Contains(t, vm.GetStatus().GetMessage(), point)
			require.Equal(t, novacronv1.OperationState_OPERATION_STATE_FAILED, vm.GetOperation().GetState())
			require.Empty(t, leftovers(c))
			power(t, client, name, novacronv1.PowerState_POWER_STATE_RUNNING) // a new wish is tried
			waitPhase(t, client, name, running)
			remove(t, client, name)
			waitGone(t, client, name)
			require.Empty(t, leftovers(c))
		})
	}
}

func TestDeletePersistsThroughErrors(t *testing.T) {
	t.Parallel()
	c, client, host := cluster(t)
	create(t, client, small("stubborn"))
	waitPhase(t, client, "stubborn", running)
	host.Host.Fail("DeleteVolume", errors.New("the disk is busy"))
	remove(t, client, "stubborn")
	waitFor(t, "the reason to be told", says(client, "stubborn", "the disk is busy"))
	host.Host.Fail("DeleteVolume", nil)
	waitGone(t, client, "stubborn")
	require.Empty(t, leftovers(c))
}

func TestDeleteOvertakesACreate(t *testing.T) {
	t.Parallel()
	c, client, host := cluster(t)
	host.Host.Delay("Define", time.Hour)
	create(t, client, small("unloved"))
	waitFor(t, "the create to begin", says(client, "unloved", ""))
	remove(t, client, "unloved")
	waitGone(t, client, "unloved")
	require.Empty(t, leftovers(c))
}

func TestSilentHost(t *testing.T) {
	if testing.Short() {
		t.Skip("a host counts as silent after a quarter of a minute")
	}
	t.Parallel()
	_, client, host := cluster(t)
	create(t, client, small("vm"))
	waitPhase(t, client, "vm", running)
	require.NoError(t, host.Stop())
	vm := waitPhase(t, client, "vm", novacronv1.VMPhase_VM_PHASE_UNKNOWN)
	require.Contains(t, vm.GetStatus().GetMessage(), "host host-1 is not heard from")
	require.Equal(t, host.Config.NodeID, vm.GetHostId(), "nothing is moved on a suspicion")
	require.NoError(t, host.Start(t.Context()))
	back := waitPhase(t, client, "vm", running)
	require.Equal(t, vm.GetEpoch(), back.GetEpoch())
	require.Empty(t, back.GetStatus().GetMessage())
}
