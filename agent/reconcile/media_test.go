package reconcile

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// TestDrivesAreFilledAtTheRightMoment: before a start, so that the guest finds what was asked for; after a stop, when no guest
// keeps the drive locked.
func TestDrivesAreFilledAtTheRightMoment(t *testing.T) {
	m := newMachines()
	reconciling(t, m, 0, func(r *Reconciler) {
		want := func(generation uint64, power novacronv1.PowerState, iso string) {
			vm := wish("vm", generation)
			vm.DesiredPower, vm.Spec.Iso = power, proto.String(iso)
			r.SetDesired(generation, []*novacronv1.VM{vm})
			pass(time.Second)
			require.EqualValues(t, generation, only(t, r).GetObservedGeneration())
		}
		want(1, novacronv1.PowerState_POWER_STATE_RUNNING, "")
		require.Empty(t, m.media, "a create fills the drives itself")
		want(2, novacronv1.PowerState_POWER_STATE_RUNNING, "live")
		want(3, novacronv1.PowerState_POWER_STATE_STOPPED, "at-stop")
		want(4, novacronv1.PowerState_POWER_STATE_STOPPED, "cold")
		want(5, novacronv1.PowerState_POWER_STATE_RUNNING, "at-start")
		want(6, novacronv1.PowerState_POWER_STATE_PAUSED, "at-pause")
		require.Equal(t, []string{"running live", "stopped at-stop", "stopped cold", "stopped at-start", "running at-pause"}, m.media)
	})
}
