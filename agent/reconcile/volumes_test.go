package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/reconcile"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// makerStub notes what it is asked for and answers as it is told.
type makerStub struct {
	mu      sync.Mutex
	orders  []hypervisor.VolumeOrder
	removed []string
	fail    []error
}

func (m *makerStub) answer() error {
	if len(m.fail) == 0 {
		return nil
	}
	err := m.fail[0]
	m.fail = m.fail[1:]
	return err
}

func (m *makerStub) EnsureVolume(_ context.Context, order hypervisor.VolumeOrder) (hypervisor.VolumeInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.orders = append(m.orders, order)
	return hypervisor.VolumeInfo{Path: "/pool/" + order.ID, CapacityBytes: order.SizeBytes}, m.answer()
}

func (m *makerStub) RemoveVolume(_ context.Context, id, _, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removed = append(m.removed, id)
	return m.answer()
}

func keepVolumes(t *testing.T, maker *makerStub, test func(*reconcile.Volumes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := reconcile.NewVolumes(reconcile.VolumesConfig{Maker: maker, Logger: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- v.Run(ctx) }()
		test(v)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

func wish(generation uint64) *novacronv1.Volume {
	return &novacronv1.Volume{Id: "a", Generation: generation, Spec: &novacronv1.VolumeSettings{Pool: "default", Format: "raw", SizeBytes: generation << 20}}
}

func only(t *testing.T, v *reconcile.Volumes) *agentv1.VolumeObservation {
	t.Helper()
	synctest.Wait()
	seen := v.Observations()
	require.Len(t, seen, 1)
	return seen[0]
}

func TestVolumesAreMadeGrownAndRemovedOnce(t *testing.T) {
	maker := &makerStub{}
	keepVolumes(t, maker, func(v *reconcile.Volumes) {
		_, err := v.Wants("a")
		require.ErrorIs(t, err, reconcile.ErrUninformed)
		for revision := range uint64(3) {
			v.SetDesired(revision, []*novacronv1.Volume{wish(1)})
			require.Equal(t, novacronv1.VolumeState_VOLUME_STATE_READY, only(t, v).GetStatus().GetState())
		}
		v.SetDesired(3, []*novacronv1.Volume{wish(2)})
		require.EqualValues(t, 2<<20, only(t, v).GetStatus().GetCapacityBytes())
		require.Len(t, maker.orders, 2)
		require.True(t, maker.orders[1].Made)
		v.SetDesired(2, nil)
		wanted, err := v.Wants("a")
		require.NoError(t, err)
		require.True(t, wanted, "an older set is not heard")
		gone := wish(3)
		gone.DeleteTime = timestamppb.Now()
		v.SetDesired(4, []*novacronv1.Volume{gone})
		require.True(t, only(t, v).GetGone())
		v.SetDesired(5, []*novacronv1.Volume{gone})
		require.True(t, only(t, v).GetGone())
		require.Equal(t, []string{"a"}, maker.removed)
		v.SetDesired(6, nil)
		synctest.Wait()
		require.Empty(t, v.Observations())
		require.Len(t, maker.removed, 1, "what the cluster forgets is left alone")
	})
}

func TestVolumeFailures(t *testing.T) {
	busy := fmt.Errorf("disk of web: %w", hypervisor.ErrInUse)
	maker := &makerStub{fail: []error{hypervisor.ErrUnavailable, nil, errors.New("no room"), busy, errors.New("odd"), nil}}
	keepVolumes(t, maker, func(v *reconcile.Volumes) {
		v.SetDesired(1, []*novacronv1.Volume{wish(1)})
		require.Contains(t, only(t, v).GetStatus().GetMessage(), "tried again")
		<-time.After(2 * time.Second)
		require.Equal(t, novacronv1.VolumeState_VOLUME_STATE_READY, only(t, v).GetStatus().GetState())
		v.SetDesired(2, []*novacronv1.Volume{wish(2)})
		require.Equal(t, novacronv1.VolumeState_VOLUME_STATE_FAILED, only(t, v).GetStatus().GetState())
		v.SetDesired(3, []*novacronv1.Volume{wish(2)})
		synctest.Wait()
		require.Len(t, maker.orders, 3, "what failed is not tried again")
		gone := wish(3)
		gone.DeleteTime = timestamppb.Now()
		v.SetDesired(4, []*novacronv1.Volume{gone})
		require.Contains(t, only(t, v).GetStatus().GetMessage(), "disk of web")
		<-time.After(time.Minute)
		require.True(t, only(t, v).GetGone())
	})
}

// A new life of the agent does not try again what a former one failed at, and knows what was complete.
func TestVolumesOfAFormerLife(t *testing.T) {
	maker := &makerStub{}
	keepVolumes(t, maker, func(v *reconcile.Volumes) {
		failed, made := wish(1), wish(1)
		failed.Status = &novacronv1.VolumeStatus{State: novacronv1.VolumeState_VOLUME_STATE_FAILED, ObservedGeneration: 1}
		made.Id, made.Status = "b", &novacronv1.VolumeStatus{State: novacronv1.VolumeState_VOLUME_STATE_READY, ObservedGeneration: 1, Path: "/pool/b"}
		v.SetDesired(1, []*novacronv1.Volume{failed, made})
		require.Equal(t, "b", only(t, v).GetVolumeId())
		require.Len(t, maker.orders, 1)
		require.True(t, maker.orders[0].Made)
	})
}
