package state

import (
	"testing"

	"github.com/stretchr/testify/require"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func TestSilenceDoesNotForgetAFailure(t *testing.T) {
	f := newFixture(t)
	f.must(initCluster("cluster"))
	f.addHost("h1", 8, 8192, 100)
	for id, phase := range map[string]novacronv1.VMPhase{"failed": novacronv1.VMPhase_VM_PHASE_FAILED, "runs": novacronv1.VMPhase_VM_PHASE_RUNNING} {
		f.must(createVM(id))
		require.NoError(t, f.bind(id, "h1"))
		f.must(observe("h1", &statev1.VMObservation{VmId: id, Epoch: 1, ObservedGeneration: 1, Phase: phase, Message: "why"}))
	}
	f.must(observeHost("h1", novacronv1.HostState_HOST_STATE_DOWN, nil))
	failed, _ := f.store.View().VM("failed", "")
	require.Equal(t, novacronv1.VMPhase_VM_PHASE_FAILED, failed.GetStatus().GetPhase())
	require.Equal(t, "why", failed.GetStatus().GetMessage())
	runs, _ := f.store.View().VM("runs", "")
	require.Equal(t, novacronv1.VMPhase_VM_PHASE_UNKNOWN, runs.GetStatus().GetPhase())
}
