package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/cluster/consensus"
	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// replica commits at once, to one store.
type replica struct {
	store *state.Store
	index uint64
}

func newReplica() *replica { return &replica{store: state.New()} }

func (r *replica) Propose(_ context.Context, command []byte) (any, uint64, error) {
	r.index++
	return r.store.Apply(r.index, command), r.index, nil
}

func (r *replica) do(t *testing.T, op func(*statev1.Command)) {
	t.Helper()
	command := &statev1.Command{Version: state.Version, Time: timestamppb.New(time.Now())}
	op(command)
	encoded, err := proto.Marshal(command)
	require.NoError(t, err)
	result, _, _ := r.Propose(t.Context(), encoded)
	require.NoError(t, result.(state.Result).Err)
}

// addHost joins a host of a few CPUs that is up.
func (r *replica) addHost(t *testing.T, id string, cpus uint32) {
	t.Helper()
	r.do(t, func(c *statev1.Command) {
		c.Op = &statev1.Command_PutMember{PutMember: &statev1.PutMember{Member: &novacronv1.Member{Id: id, Name: id, Role: novacronv1.Role_ROLE_AGENT}}}
	})
	r.do(t, func(c *statev1.Command) {
		c.Op = &statev1.Command_ObserveHost{ObserveHost: &statev1.ObserveHost{Id: id, State: novacronv1.HostState_HOST_STATE_UP, Info: &novacronv1.HostInfo{
			Arch: "x86_64", Capacity: &novacronv1.Resources{Cpus: cpus, MemoryMb: 1 << 20, DiskGb: 1 << 20},
		}}}
	})
}

func (r *replica) addVM(t *testing.T, id string, cpus uint32) {
	t.Helper()
	r.do(t, func(c *statev1.Command) {
		c.Op = &statev1.Command_CreateVm{CreateVm: &statev1.CreateVM{Id: id, OperationId: "op", Power: novacronv1.PowerState_POWER_STATE_RUNNING,
			Spec: &novacronv1.VMSpec{Name: id, Project: "default", Cpus: cpus, MemoryMb: 1}}}
	})
}

func (r *replica) hostState(id string) novacronv1.HostState {
	host, _ := r.store.View().Host(id)
	return host.GetState()
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestMachinesThatFitNowhereDoNotHoldUpOthers(t *testing.T) {
	r := newReplica()
	r.addHost(t, "host", 4)
	for i := range placeBatch + 1 {
		r.addVM(t, fmt.Sprintf("a-giant-%03d", i), 100)
	}
	r.addVM(t, "small", 1)
	placer := &Placer{Store: r.store, Log: r, Now: time.Now}
	require.NoError(t, placer.place(t.Context(), r.store.View()))
	small, _ := r.store.View().VM("small", "")
	require.Equal(t, "host", small.GetHostId())
	giant, _ := r.store.View().VM("a-giant-256", "")
	require.Contains(t, giant.GetStatus().GetMessage(), "of 1 hosts, refused 1 by CPU")

	before := r.index
	require.NoError(t, placer.place(t.Context(), r.store.View()))
	require.Equal(t, before, r.index, "the same refusal is committed once")
}

func TestPlacerLooksAgainAtOnceWhenAWishChangedUnderIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica()
		r.addHost(t, "host", 4)
		r.addVM(t, "vm", 1)
		racing := &racer{replica: r, before: func() {
			r.do(t, func(c *statev1.Command) {
				c.Op = &statev1.Command_SetVmPower{SetVmPower: &statev1.SetVMPower{Id: "vm", OperationId: "op", Power: novacronv1.PowerState_POWER_STATE_STOPPED}}
			})
		}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := time.Now()
		go func() { _ = (&Placer{Store: r.store, Log: racing, Now: time.Now}).run(ctx) }()
		synctest.Wait()
		vm, _ := r.store.View().VM("vm", "")
		require.Equal(t, "host", vm.GetHostId())
		require.Zero(t, time.Since(began))
	})
}

// racer lets something happen between a plan and its commit, once.
type racer struct {
	*replica
	before func()
}

func (r *racer) Propose(ctx context.Context, command []byte) (any, uint64, error) {
	if before := r.before; before != nil {
		r.before = nil
		before()
	}
	return r.replica.Propose(ctx, command)
}

func TestSilentHostsGoDownAndALeaderCountsFromItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica()
		r.addHost(t, "silent", 1)
		r.addHost(t, "lively", 1)
		live := &Liveness{Store: r.store, Log: r, Now: time.Now, Logger: quiet()}
		live.Beat("silent", time.Now().Add(-time.Hour)) // heard in a former term
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- live.Loop().Run(ctx) }()
		for range 10 {
			<-time.After(DownAfter / 10)
			live.Beat("lively", time.Now())
		}
		synctest.Wait()
		require.Equal(t, novacronv1.HostState_HOST_STATE_UP, r.hostState("silent"), "not yet, at %s", DownAfter)
		<-time.After(2 * livenessCheck)
		synctest.Wait()
		require.Equal(t, novacronv1.HostState_HOST_STATE_DOWN, r.hostState("silent"))
		require.Equal(t, novacronv1.HostState_HOST_STATE_UP, r.hostState("lively"))
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

func TestLoopsRunWhileLeadingAndOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, starts atomic.Int32
		loop := Loop{Name: "duty", Run: func(ctx context.Context) error {
			starts.Add(1)
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			<-ctx.Done()
			<-time.After(time.Second) // it takes its time to end
			return ctx.Err()
		}}
		changes := make(chan consensus.Leadership)
		ended := make(chan struct{})
		go func() { Supervise(t.Context(), changes, []Loop{loop}, quiet()); close(ended) }()
		changes <- consensus.Leadership{Leader: false}
		synctest.Wait()
		require.Zero(t, starts.Load())
		changes <- consensus.Leadership{Leader: true, Term: 1}
		synctest.Wait()
		changes <- consensus.Leadership{Leader: true, Term: 3} // lost and won again between two looks
		<-time.After(2 * time.Second)
		require.EqualValues(t, 2, starts.Load())
		require.EqualValues(t, 1, most.Load(), "the loops of two terms overlapped")
		close(changes)
		<-ended
		require.Zero(t, running.Load())
	})
}

func TestAFailingLoopStartsAgainLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		loop := Loop{Name: "broken", Run: func(context.Context) error {
			times = append(times, time.Now())
			return errors.New("no luck")
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		keep(ctx, loop, quiet())
		require.Greater(t, len(times), 10)
		last := times[len(times)-1].Sub(times[len(times)-2])
		require.GreaterOrEqual(t, last, maxPause/2)
		require.LessOrEqual(t, last, 3*maxPause/2)
		require.LessOrEqual(t, times[1].Sub(times[0]), 2*minPause)
	})
}
