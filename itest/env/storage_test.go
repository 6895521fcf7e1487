package env_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// stored lists what lies in the pools, by name in the pool.
func stored(t *testing.T, client *env.Client, host string) map[string]*novacronv1.StoredVolume {
	t.Helper()
	stream, err := client.Storage.ListStoredVolumes(t.Context(), connect.NewRequest(&novacronv1.ListStoredVolumesRequest{Host: host}))
	require.NoError(t, err)
	defer stream.Close()
	all := map[string]*novacronv1.StoredVolume{}
	for stream.Receive() {
		for _, volume := range stream.Msg().GetVolumes() {
			all[volume.GetName()] = volume
		}
	}
	require.NoError(t, stream.Err())
	return all
}

func removeOrphan(t *testing.T, client *env.Client, host, name string) error {
	_, err := client.Storage.RemoveOrphan(t.Context(), connect.NewRequest(&novacronv1.RemoveOrphanRequest{Host: host, Pool: "default", Name: name}))
	return err
}

// plant makes a volume on a host behind the agent's back.
func plant(t *testing.T, member *env.Member, name string) {
	t.Helper()
	_, err := member.Host.Driver.CreateVolume(t.Context(), hypervisor.VolumeSpec{Pool: "default", Name: name, Format: "qcow2", CapacityBytes: 1 << 20})
	require.NoError(t, err)
}

func TestOrphansAreToldAndRemovedOnRequest(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 2})
	client := admin(t, c, followers(t, c)[0].Name)
	pools, err := client.Storage.ListPools(t.Context(), connect.NewRequest(&novacronv1.ListPoolsRequest{}))
	require.NoError(t, err)
	require.Len(t, pools.Msg.GetPools(), 4, "two on each host")
	require.Empty(t, pools.Msg.GetFailures())

	create(t, client, small("web"))
	waitPhase(t, client, "web", running)
	web, err := client.VMs.GetVM(t.Context(), connect.NewRequest(&novacronv1.GetVMRequest{Vm: "web"}))
	require.NoError(t, err)
	owner, other := web.Msg.GetVm().GetHostName(), "host-1"
	if owner == other {
		other = "host-2"
	}
	disk := hypervisor.VolumeName(web.Msg.GetVm().GetId(), "root", "qcow2")
	lost := hypervisor.VolumeName(uuid.NewString(), "root", "qcow2")
	plant(t, c.Member(other), lost)
	plant(t, c.Member(other), "backup.qcow2")
	plant(t, c.Member(other), disk) // as a move that was cut short leaves it

	all := stored(t, client, owner)
	require.Equal(t, novacronv1.VolumeOwner_VOLUME_OWNER_VM, all[disk].GetOwner())
	require.Equal(t, "web", all[disk].GetOwnerName())
	all = stored(t, client, other)
	require.Equal(t, novacronv1.VolumeOwner_VOLUME_OWNER_ORPHAN, all[lost].GetOwner())
	require.Equal(t, novacronv1.VolumeOwner_VOLUME_OWNER_FOREIGN, all["backup.qcow2"].GetOwner())
	require.Equal(t, novacronv1.VolumeOwner_VOLUME_OWNER_VM, all[disk].GetOwner(), "the cluster has its machine, wherever it runs")

	for _, kept := range []struct{ host, name string }{{owner, disk}, {other, disk}, {other, "backup.qcow2"}} {
		require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(removeOrphan(t, client, kept.host, kept.name)), kept)
	}
	require.NoError(t, removeOrphan(t, client, other, lost))
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(removeOrphan(t, client, other, lost)))
	require.Len(t, stored(t, client, ""), 2, "one disk twice, and the stranger's")
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(removeOrphan(t, client, "", lost)))
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(removeOrphan(t, client, "no-such", lost)))
}

// A record that arrives between the listing and the removal keeps its volume.
func TestARecordThatArrivesKeepsItsVolume(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1})
	client := admin(t, c, "")
	id := uuid.NewString()
	disk := hypervisor.VolumeName(id, "root", "qcow2")
	plant(t, c.Member("host-1"), disk)
	require.Equal(t, novacronv1.VolumeOwner_VOLUME_OWNER_ORPHAN, stored(t, client, "host-1")[disk].GetOwner())
	spec := small("late")
	spec.Uuid, spec.Cpus = id, 700 // fits nowhere: the record alone is what there is
	create(t, client, spec)
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(removeOrphan(t, client, "host-1", disk)))
	require.Equal(t, novacronv1.VolumeOwner_VOLUME_OWNER_VM, stored(t, client, "host-1")[disk].GetOwner())
}

func TestAHostThatIsDownIsToldNotFatal(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 2})
	client := admin(t, c, "")
	require.NoError(t, c.Member("host-2").Stop())
	waitFor(t, "host-2 to be missing", func(ctx context.Context) error {
		pools, err := client.Storage.ListPools(ctx, connect.NewRequest(&novacronv1.ListPoolsRequest{}))
		if err != nil {
			return err
		}
		require.Len(t, pools.Msg.GetFailures(), 1)
		require.Equal(t, "host-2", pools.Msg.GetFailures()[0].GetHostName())
		require.Len(t, pools.Msg.GetPools(), 2)
		return nil
	})
}

func createVolume(t *testing.T, client *env.Client, spec *novacronv1.VolumeSettings) *novacronv1.Volume {
	t.Helper()
	request := &novacronv1.CreateVolumeRequest{Spec: spec, RequestId: uuid.NewString()}
	var made *novacronv1.Volume
	persist(t, func(ctx context.Context) error {
		answer, err := client.Storage.CreateVolume(ctx, connect.NewRequest(request))
		if err == nil {
			made = answer.Msg.GetVolume()
		}
		return err
	})
	return made
}

func awaitVolume(t *testing.T, client *env.Client, name string, want novacronv1.VolumeState) *novacronv1.Volume {
	t.Helper()
	var last *novacronv1.Volume
	waitFor(t, "volume "+name, func(ctx context.Context) error {
		answer, err := client.Storage.GetVolume(ctx, connect.NewRequest(&novacronv1.GetVolumeRequest{Volume: name}))
		if err != nil {
			return err
		}
		last = answer.Msg.GetVolume()
		if status := last.GetStatus(); status.GetState() != want || status.GetObservedGeneration() < last.GetGeneration() {
			return fmt.Errorf("it is %v", last)
		}
		return nil
	})
	return last
}

func deleteVolume(t *testing.T, client *env.Client, name string) {
	t.Helper()
	_, err := client.Storage.DeleteVolume(t.Context(), connect.NewRequest(&novacronv1.DeleteVolumeRequest{Volume: name}))
	require.NoError(t, err)
	waitFor(t, "volume "+name+" to be gone", func(ctx context.Context) error {
		_, err := client.Storage.GetVolume(ctx, connect.NewRequest(&novacronv1.GetVolumeRequest{Volume: name}))
		if connect.CodeOf(err) == connect.CodeNotFound {
			return nil
		}
		return fmt.Errorf("it is there: %w", err)
	})
}

const volumeReady = novacronv1.VolumeState_VOLUME_STATE_READY

func TestVolumesLiveAndEnd(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 2})
	client := admin(t, c, followers(t, c)[0].Name)
	createVolume(t, client, &novacronv1.VolumeSettings{Name: "data", SizeBytes: 1 << 30})
	made := awaitVolume(t, client, "data", volumeReady)
	require.NotEmpty(t, made.GetStatus().GetPath())
	listed := stored(t, client, made.GetHostName())[hypervisor.StandaloneName(made.GetId(), "qcow2")]
	require.Equal(t, novacronv1.VolumeOwner_VOLUME_OWNER_VOLUME, listed.GetOwner())
	require.Equal(t, "data", listed.GetOwnerName())

	_, err := client.Storage.ResizeVolume(t.Context(), connect.NewRequest(&novacronv1.ResizeVolumeRequest{Volume: "data", SizeBytes: 3 << 30}))
	require.NoError(t, err)
	require.EqualValues(t, 3<<30, awaitVolume(t, client, "data", volumeReady).GetStatus().GetCapacityBytes())
	_, err = client.Storage.ResizeVolume(t.Context(), connect.NewRequest(&novacronv1.ResizeVolumeRequest{Volume: "data", SizeBytes: 1 << 30}))
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))

	linked := createVolume(t, client, &novacronv1.VolumeSettings{Name: "linked", Source: &novacronv1.VolumeSource{Volume: "data", Linked: true}})
	require.Equal(t, made.GetHostId(), linked.GetHostId())
	awaitVolume(t, client, "linked", volumeReady)
	_, err = client.Storage.DeleteVolume(t.Context(), connect.NewRequest(&novacronv1.DeleteVolumeRequest{Volume: "data"}))
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
	for _, name := range []string{"linked", "data"} {
		deleteVolume(t, client, name)
	}
	require.Empty(t, stored(t, client, ""))
}

func TestVolumesFromFiles(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 2})
	client := admin(t, c, "")
	data := bytes.Repeat([]byte("novacron"), 64<<10)
	sum := upload(t, client, data)
	createVolume(t, client, &novacronv1.VolumeSettings{Name: "file", Source: &novacronv1.VolumeSource{Sha256: sum}})
	made := awaitVolume(t, client, "file", volumeReady)
	require.Equal(t, "raw", made.GetSpec().GetFormat())
	stream, err := client.Storage.DownloadVolume(t.Context(), connect.NewRequest(&novacronv1.DownloadVolumeRequest{Volume: "file"}))
	require.NoError(t, err)
	defer stream.Close()
	var got []byte
	var told string
	for stream.Receive() {
		got, told = append(got, stream.Msg().GetData()...), stream.Msg().GetSha256()
	}
	require.NoError(t, stream.Err())
	require.Equal(t, data, got)
	require.Equal(t, sum, told)
}

func TestVolumeSettingsAreChecked(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1})
	client := admin(t, c, "")
	for name, spec := range map[string]*novacronv1.VolumeSettings{
		"name is":       {Name: "../x", SizeBytes: 1 << 20},
		"sizeBytes: 0":  {Name: "x"},
		"format":        {Name: "x", SizeBytes: 1 << 20, Format: "vmdk"},
		"no host fits":  {Name: "x", SizeBytes: 1 << 20, Pool: "no-such"},
		"too little":    {Name: "x", SizeBytes: 20 << 40},
		"exclude":       {Name: "x", Source: &novacronv1.VolumeSource{Image: "a", Volume: "b"}},
		"source.linked": {Name: "x", SizeBytes: 1 << 20, Source: &novacronv1.VolumeSource{Linked: true}},
		"source.image":  {Name: "x", Source: &novacronv1.VolumeSource{Image: "no-such"}},
		"sha256":        {Name: "x", Source: &novacronv1.VolumeSource{Sha256: "xyz"}},
		"host \"h9\"":   {Name: "x", SizeBytes: 1 << 20, Host: "h9"},
	} {
		_, err := client.Storage.CreateVolume(t.Context(), connect.NewRequest(&novacronv1.CreateVolumeRequest{Spec: spec}))
		require.ErrorContains(t, err, name)
	}
	_, err := client.Storage.CreateVolume(t.Context(), connect.NewRequest(&novacronv1.CreateVolumeRequest{}))
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
	require.Empty(t, stored(t, client, ""))
}

// A volume that somebody removed behind the cluster does not come back empty, also not when its agent starts anew.
func TestALostVolumeIsNotMadeAnew(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1})
	client := admin(t, c, "")
	createVolume(t, client, &novacronv1.VolumeSettings{Name: "data", SizeBytes: 1 << 20})
	made := awaitVolume(t, client, "data", volumeReady)
	host := c.Member("host-1")
	require.NoError(t, host.Stop())
	require.NoError(t, host.Host.Driver.DeleteVolume(t.Context(), "default", hypervisor.StandaloneName(made.GetId(), "qcow2")))
	require.NoError(t, host.Start(t.Context()))
	require.Contains(t, awaitVolume(t, client, "data", novacronv1.VolumeState_VOLUME_STATE_FAILED).GetStatus().GetMessage(), "lost")
	require.Empty(t, stored(t, client, ""))
	deleteVolume(t, client, "data")
}

func TestPoolsAreAttachedAndDetached(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1})
	client := admin(t, c, "")
	attach := func(pool *novacronv1.PoolSettings) error {
		_, err := client.Storage.CreatePool(t.Context(), connect.NewRequest(&novacronv1.CreatePoolRequest{Host: "host-1", Pool: pool}))
		return err
	}
	detach := func(name string) error {
		_, err := client.Storage.DeletePool(t.Context(), connect.NewRequest(&novacronv1.DeletePoolRequest{Host: "host-1", Name: name}))
		return err
	}
	fast := &novacronv1.PoolSettings{Name: "fast", Type: "dir", Path: "/srv/fast"}
	require.NoError(t, attach(fast))
	require.NoError(t, attach(fast))
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(attach(&novacronv1.PoolSettings{Name: "x", Type: "dir", Path: "/etc"})))
	createVolume(t, client, &novacronv1.VolumeSettings{Name: "data", Pool: "fast", SizeBytes: 1 << 20})
	awaitVolume(t, client, "data", volumeReady)
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(detach("fast")))
	deleteVolume(t, client, "data")
	require.NoError(t, detach("fast"))
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(detach("fast")))
}
