package state

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func kinds(t *testing.T, s *Store, after uint64) (all []string) {
	events, complete := s.View().Events(after)
	require.True(t, complete)
	for event := range events {
		all = append(all, event.GetKind())
	}
	return all
}

func TestEventsTellTheLifeOfAMachine(t *testing.T) {
	f := newFixture(t)
	f.addHost("h1", 4, 1024, 10)
	start := f.revision
	f.must(createVM("vm"))
	require.NoError(t, f.bind("vm", "h1"))
	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 1, Phase: novacronv1.VMPhase_VM_PHASE_RUNNING}))
	f.must(deleteVM("vm"))
	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 2, Gone: true}))
	require.Equal(t, []string{"vm.created", "vm.placed", "vm.running", "vm.request.delete", "vm.deleted"}, kinds(t, f.store, start))
}

func TestAHypervisorsEventsAreTakenOnce(t *testing.T) {
	f := newFixture(t)
	f.addHost("h1", 4, 1024, 10)
	start := f.revision
	report := func(boot string, sequences ...uint64) {
		op := &statev1.ObserveVMs{HostId: "h1"}
		for _, n := range sequences {
			op.Events = append(op.Events, &statev1.HypervisorEvent{VmId: "vm", Kind: "started", BootId: boot, Sequence: n, Time: timestamppb.New(f.now)})
		}
		f.must(func(c *statev1.Command) { c.Op = &statev1.Command_ObserveVms{ObserveVms: op} })
	}
	report("boot-1", 1, 2)
	report("boot-1", 1, 2, 3) // the answer to the first report was lost
	report("boot-2", 1)
	require.Len(t, kinds(t, f.store, start), 4)
}

func TestEventsAreForgottenWithoutAGap(t *testing.T) {
	f := newFixture(t)
	f.must(createVM("old"))
	f.now = f.now.Add(eventMemory + time.Minute)
	f.must(createVM("new"))
	_, complete := f.store.View().Events(0)
	require.False(t, complete, "who missed the forgotten events is told")
	require.Equal(t, []string{"vm.created"}, kinds(t, f.store, 1))
}

func TestEventsOfARevisionStayTogether(t *testing.T) {
	f := newFixture(t)
	f.addHost("h1", 4, 1024, 10)
	f.must(createVM("vm"))
	revision := f.revision
	require.NoError(t, f.bind("vm", "h1"))
	events, _ := f.store.View().Events(revision)
	for _, event := range slices.Collect(events) {
		require.Equal(t, f.revision, event.GetRevision())
	}
}

func TestAwait(t *testing.T) {
	f := newFixture(t)
	f.must(createVM("a"))
	require.NoError(t, f.store.Await(context.Background(), 0))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, f.store.Await(ctx, f.revision), context.Canceled)
}
