package state

import (
	"testing"

	"github.com/stretchr/testify/require"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func createVolume(id, host string, gb uint64, change ...func(*novacronv1.Volume)) func(*statev1.Command) {
	return func(c *statev1.Command) {
		volume := &novacronv1.Volume{Id: id, HostId: host, Spec: &novacronv1.VolumeSettings{
			Name: id, Project: "default", Pool: "default", Format: "qcow2", SizeBytes: gb << 30,
		}}
		for _, f := range change {
			f(volume)
		}
		c.Op = &statev1.Command_CreateVolume{CreateVolume: &statev1.CreateVolume{Volume: volume}}
	}
}

func resizeVolume(id string, gb uint64) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_ResizeVolume{ResizeVolume: &statev1.ResizeVolume{Id: id, SizeBytes: gb << 30}}
	}
}

func deleteVolume(id string) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteVolume{DeleteVolume: &statev1.DeleteVolume{Id: id}}
	}
}

func observeVolume(host, id string, generation uint64, state novacronv1.VolumeState, gone bool) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_ObserveVolumes{ObserveVolumes: &statev1.ObserveVolumes{HostId: host, Volumes: []*statev1.VolumeObservation{
			{VolumeId: id, Gone: gone, Status: &novacronv1.VolumeStatus{State: state, ObservedGeneration: generation, Path: "/pool/" + id}},
		}}}
	}
}

const ready = novacronv1.VolumeState_VOLUME_STATE_READY

func (f *fixture) volume(id string) *novacronv1.Volume {
	volume, _ := f.store.View().Volume(id, "default")
	return volume
}

func linkedTo(id string) func(*novacronv1.Volume) {
	return func(v *novacronv1.Volume) { v.Spec.Source = &novacronv1.VolumeSource{Volume: id, Linked: true} }
}

func volumeFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.must(initCluster("cluster"))
	f.addHost("h1", 8, 8192, 100)
	f.addHost("h2", 8, 8192, 100)
	return f
}

func TestAVolumeIsMadeGrownAndDeleted(t *testing.T) {
	f := volumeFixture(t)
	f.must(createVolume("data", "h1", 10))
	host, _ := f.store.View().Host("h1")
	require.EqualValues(t, 10, host.GetAllocated().GetDiskGb())
	require.Equal(t, novacronv1.VolumeState_VOLUME_STATE_CREATING, f.volume("data").GetStatus().GetState())
	f.must(observeVolume("h2", "data", 1, ready, false))
	require.NotEqual(t, ready, f.volume("data").GetStatus().GetState(), "only the owner is heard")
	f.must(observeVolume("h1", "data", 1, ready, false))
	require.Equal(t, ready, f.volume("data").GetStatus().GetState())
	f.must(resizeVolume("data", 20))
	require.EqualValues(t, 2, f.volume("data").GetGeneration())
	f.must(resizeVolume("data", 20))
	require.EqualValues(t, 2, f.volume("data").GetGeneration(), "the same size is a retry")
	f.must(deleteVolume("data"))
	f.must(deleteVolume("data"))
	f.must(observeVolume("h1", "data", 2, ready, false))
	require.Equal(t, novacronv1.VolumeState_VOLUME_STATE_DELETING, f.volume("data").GetStatus().GetState())
	f.must(observeVolume("h1", "data", 3, ready, true))
	require.Nil(t, f.volume("data"))
	require.Equal(t, []string{"volume.created", "volume.ready", "volume.request.resize", "volume.request.delete", "volume.deleted"}, f.volumeEvents())
}

func (f *fixture) volumeEvents() (kinds []string) {
	events, _ := f.store.View().Events(0)
	for event := range events {
		if len(event.GetKind()) > 7 && event.GetKind()[:7] == "volume." {
			kinds = append(kinds, event.GetKind())
		}
	}
	return kinds
}

func TestVolumeRefusals(t *testing.T) {
	f := volumeFixture(t)
	f.must(createVolume("data", "h1", 10))
	f.must(observeVolume("h1", "data", 1, ready, false))
	f.must(createVolume("clone", "h1", 10, linkedTo("data")))
	f.must(observeVolume("h1", "clone", 1, ready, false))
	f.must(createVM("web", withDisks("clone")))
	f.must(createVolume("empty", "h1", 1))
	for name, c := range map[string]struct {
		op   func(*statev1.Command)
		want error
		text string
	}{
		"name taken":       {createVolume("other", "h1", 1, func(v *novacronv1.Volume) { v.Spec.Name = "data" }), ErrExists, "choose another name"},
		"no host":          {createVolume("x", "h9", 1), ErrStale, "h9"},
		"no room":          {createVolume("x", "h1", 80), ErrRefused, "do not fit"},
		"no source":        {createVolume("x", "h1", 1, linkedTo("nope")), ErrNotFound, "nope"},
		"source elsewhere": {createVolume("x", "h2", 1, linkedTo("data")), ErrRefused, "not ready on that host"},
		"source not ready": {createVolume("x", "h1", 1, linkedTo("empty")), ErrRefused, "not ready"},
		"source attached":  {createVolume("x", "h1", 1, linkedTo("clone")), ErrRefused, "clone is a disk of virtual machine web"},
		"shrink":           {resizeVolume("data", 9), ErrRefused, "create a smaller volume"},
		"grow under clone": {resizeVolume("data", 11), ErrRefused, "linked clone clone"},
		"grow too far":     {resizeVolume("clone", 95), ErrRefused, "do not fit"},
		"delete base":      {deleteVolume("data"), ErrRefused, "linked clone clone"},
		"delete attached":  {deleteVolume("clone"), ErrRefused, "clone is a disk of virtual machine web"},
		"delete unknown":   {deleteVolume("nope"), ErrNotFound, "nope"},
		"resize unknown":   {resizeVolume("nope", 1), ErrNotFound, "nope"},
	} {
		before := hashOf(t, f.store)
		_, err := f.apply(c.op)
		require.ErrorIs(t, err, c.want, name)
		require.ErrorContains(t, err, c.text, name)
		require.Equal(t, before, hashOf(t, f.store), name)
	}
	_, err := f.apply(func(c *statev1.Command) {
		c.Op = &statev1.Command_RemoveMember{RemoveMember: &statev1.RemoveMember{Id: "h1"}}
	})
	require.ErrorIs(t, err, ErrRefused)
}

func TestARetriedCreateGetsTheFirstVolume(t *testing.T) {
	f := volumeFixture(t)
	first := createVolume("one", "h1", 1, func(v *novacronv1.Volume) { v.Spec.Name, v.RequestId = "data", "r" })
	again := createVolume("two", "h2", 1, func(v *novacronv1.Volume) { v.Spec.Name, v.RequestId = "data", "r" })
	f.must(first)
	f.must(again)
	require.Equal(t, "one", f.volume("data").GetId())
}

func TestMergeBringsNoVolumeBackEmpty(t *testing.T) {
	f := volumeFixture(t)
	for _, id := range []string{"kept", "grown", "deleting", "deleted"} {
		f.must(createVolume(id, "h1", 1))
		f.must(observeVolume("h1", id, 1, ready, false))
	}
	f.must(createVolume("lost", "h2", 1))
	backup := saved(t, f.store.View())
	f.must(resizeVolume("grown", 2))
	f.must(deleteVolume("deleting"))
	f.must(deleteVolume("deleted"))
	f.must(observeVolume("h1", "deleted", 2, ready, true))
	f.must(createVolume("new", "h1", 1))
	f.must(func(c *statev1.Command) {
		c.Op = &statev1.Command_RemoveMember{RemoveMember: &statev1.RemoveMember{Id: "h2", Force: true}}
	})
	require.Equal(t, novacronv1.VolumeState_VOLUME_STATE_FAILED, f.volume("lost").GetStatus().GetState())
	now := merged(t, backup, f.store.View())
	get := func(id string) *novacronv1.Volume { volume, _ := now.Volume(id, ""); return volume }
	require.Equal(t, ready, get("kept").GetStatus().GetState())
	require.EqualValues(t, 2<<30, get("grown").GetSpec().GetSizeBytes(), "a volume never shrinks")
	require.NotNil(t, get("deleting").GetDeleteTime())
	require.Equal(t, novacronv1.VolumeState_VOLUME_STATE_FAILED, get("deleted").GetStatus().GetState())
	require.Equal(t, novacronv1.VolumeState_VOLUME_STATE_FAILED, get("lost").GetStatus().GetState())
	require.Nil(t, get("new"))
}
