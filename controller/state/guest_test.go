package state

import (
	"testing"

	"github.com/stretchr/testify/require"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func TestWhatAGuestTellsGoesWithItsRun(t *testing.T) {
	f := runningVM(t)
	seen := func(phase novacronv1.VMPhase, guest *novacronv1.GuestInfo) *novacronv1.GuestInfo {
		f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 1, Phase: phase, Guest: guest}))
		vm, _ := f.store.View().VM("vm", "")
		return vm.GetStatus().GetGuest()
	}
	require.Equal(t, "web", seen(novacronv1.VMPhase_VM_PHASE_RUNNING, &novacronv1.GuestInfo{Hostname: "web"}).GetHostname())
	require.Nil(t, seen(novacronv1.VMPhase_VM_PHASE_STOPPED, nil))
}
