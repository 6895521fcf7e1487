package env_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// mirror is what a watcher makes of the stream.
type mirror struct {
	revision uint64
	records  map[string]*novacronv1.VM
	// fresh are the ids that this stream has told of: what a list leaves out was deleted.
	fresh map[string]bool
}

func newMirror() *mirror { return &mirror{records: map[string]*novacronv1.VM{}} }

// take applies one message, and complains about one that is out of order.
func (m *mirror) take(message *novacronv1.WatchVMsResponse) error {
	vm := message.GetVm()
	switch {
	case message.GetSynced():
		maps.DeleteFunc(m.records, func(id string, _ *novacronv1.VM) bool { return !m.fresh[id] })
		m.revision = message.GetRevision()
	case vm == nil:
		if message.GetRevision() < m.revision {
			return fmt.Errorf("heartbeat of revision %d after %d", message.GetRevision(), m.revision)
		}
		m.revision = message.GetRevision()
	case message.GetDeleted():
		delete(m.records, vm.GetId())
		m.revision = message.GetRevision()
	default:
		if before := m.records[vm.GetId()]; before.GetRevision() > vm.GetRevision() {
			return fmt.Errorf("%s goes back from revision %d to %d", vm.GetSpec().GetName(), before.GetRevision(), vm.GetRevision())
		}
		m.records[vm.GetId()], m.fresh[vm.GetId()] = vm, true
		m.revision = max(m.revision, message.GetRevision())
	}
	return nil
}

func (m *mirror) names() []string {
	names := []string{}
	for _, vm := range m.records {
		names = append(names, vm.GetSpec().GetName())
	}
	slices.Sort(names)
	return names
}

func (m *mirror) holds(names ...string) func() bool {
	slices.Sort(names)
	return func() bool { return slices.Equal(m.names(), names) }
}

// follow watches from where the mirror is until it is enough. It starts over when the changes since are no longer kept, and
// goes on where it was when a busy machine has lost its leader.
func (m *mirror) follow(ctx context.Context, client *env.Client, enough func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	wait := env.WaitFor(ctx, "the watch", func(ctx context.Context) error {
		switch last = m.watch(ctx, client, enough); connect.CodeOf(last) {
		case connect.CodeOutOfRange:
			m.revision = 0
			return last
		case connect.CodeUnavailable:
			return last
		}
		return nil
	})
	return cmp.Or(last, wait)
}

func (m *mirror) watch(ctx context.Context, client *env.Client, enough func() bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.VMs.WatchVMs(ctx, connect.NewRequest(&novacronv1.WatchVMsRequest{SinceRevision: m.revision}))
	if err != nil {
		return err
	}
	defer stream.Close()
	m.fresh = map[string]bool{}
	for listing := m.revision == 0; listing || !enough(); {
		if !stream.Receive() {
			return fmt.Errorf("the watch ended: %w", stream.Err())
		}
		if err := m.take(stream.Msg()); err != nil {
			return err
		}
		listing = listing && !stream.Msg().GetSynced()
	}
	return nil
}

func TestWatchResumesWithoutAGap(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3})
	controllers := []string{"controller-1", "controller-2", "controller-3"}
	const writers, rounds = 4, 20
	var writing sync.WaitGroup
	for w := range writers {
		client := admin(t, c, controllers[w%3])
		writing.Go(func() {
			for i := range rounds {
				create(t, client, small(fmt.Sprintf("vm-%d-%d", w, i)))
				if i%3 == 0 {
					remove(t, client, fmt.Sprintf("vm-%d-%d", w, i))
				}
			}
		})
	}
	seen, ctx := newMirror(), t.Context()
	finished := make(chan struct{})
	go func() { writing.Wait(); close(finished) }()
	for done := false; !done; {
		select {
		case <-finished:
			done = true
		default:
		}
		count, limit := 0, 1+rand.IntN(8)
		at := admin(t, c, controllers[rand.IntN(3)]) // it may lag behind what was seen: it must wait, not repeat
		require.NoError(t, seen.follow(ctx, at, func() bool { count++; return count > limit || done }))
	}
	final := admin(t, c, "")
	want := map[string]uint64{}
	list, err := final.VMs.ListVMs(ctx, connect.NewRequest(&novacronv1.ListVMsRequest{PageSize: 1000}))
	require.NoError(t, err)
	for _, vm := range list.Msg.GetVms() {
		want[vm.GetSpec().GetName()] = vm.GetRevision()
	}
	require.Len(t, want, writers*(rounds-7))
	err = seen.follow(ctx, final, func() bool { return maps.Equal(want, seen.revisions()) })
	require.NoError(t, err, "want %v\nhave %v", want, seen.revisions())
}

func (m *mirror) revisions() map[string]uint64 {
	revisions := map[string]uint64{}
	for _, vm := range m.records {
		revisions[vm.GetSpec().GetName()] = vm.GetRevision()
	}
	return revisions
}
