package reconcile

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

func TestADedicatedMachineIsMadeOnItsCPUs(t *testing.T) {
	m := newMachines()
	reconciling(t, m, 0, func(r *Reconciler) {
		order := wish("vm", 1)
		order.HostCpus = &novacronv1.HostCPUs{Own: []uint32{5, 1}}
		r.SetDesired(1, []*novacronv1.VM{order})
		pass(0)
		require.Equal(t, []vm.CPUPin{{VCPU: 0, HostCPUs: "5"}, {VCPU: 1, HostCPUs: "1"}}, m.there["vm"].Definition.CPU.Pinning)
		require.Empty(t, order.GetSpec().GetCpu().GetPinning(), "the order stays as it came")
	})
}

// A machine that left and comes back is not taken for gone, even where nobody saw the host without it in between.
func TestAMachineThatComesBackIsThere(t *testing.T) {
	m := newMachines()
	reconciling(t, m, 0, func(r *Reconciler) {
		r.SetDesired(1, []*novacronv1.VM{wish("vm", 1)})
		pass(0)
		r.SetDesired(2, []*novacronv1.VM{deletion("vm", 2)})
		pass(0)
		require.True(t, only(t, r).GetGone())
		back := wish("vm", 2)
		back.Epoch = 2
		m.setLooks([]time.Duration{time.Second})
		r.SetDesired(3, []*novacronv1.VM{back})
		require.Empty(t, r.Observations(), "not a word before there is something to say")
		pass(time.Second)
		require.False(t, only(t, r).GetGone())
		require.Equal(t, novacronv1.VMPhase_VM_PHASE_RUNNING, only(t, r).GetPhase())
	})
}
