package env_test

import (
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/controller/state"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// using is a small machine with disks on volumes that stand alone.
func using(name string, volumes ...*novacronv1.Volume) *novacronv1.VMSpec {
	spec := small(name)
	for _, volume := range volumes {
		spec.Volumes = append(spec.Volumes, &novacronv1.VolumeSpec{
			Name: volume.GetSpec().GetName(), Pool: volume.GetSpec().GetPool(), Format: volume.GetSpec().GetFormat(), Source: proto.String(state.StoredName(volume)),
		})
	}
	return spec
}

// refused tries to create a machine, and to plan one, and gives the error that both have.
func refused(t *testing.T, client *env.Client, spec *novacronv1.VMSpec) error {
	t.Helper()
	_, err := client.VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: spec}))
	require.Error(t, err)
	_, planned := client.VMs.PlanVM(t.Context(), connect.NewRequest(&novacronv1.PlanVMRequest{Spec: spec}))
	require.Equal(t, err.Error(), planned.Error())
	return err
}

// A machine goes where its volumes lie, whatever the scheduler would like better.
func TestAMachineGoesWhereItsVolumesLie(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 2})
	client := admin(t, c, "")
	volumes := map[string]*novacronv1.Volume{}
	for name, host := range map[string]string{"data": "host-2", "logs": "host-2", "far": "host-1"} {
		createVolume(t, client, &novacronv1.VolumeSettings{Name: name, SizeBytes: 1 << 20, Host: host})
		volumes[name] = awaitVolume(t, client, name, volumeReady)
	}
	large := small("large") // host-1 is then the fuller one, where others would go
	large.DiskGb, large.Placement = 100, &novacronv1.Placement{Host: "host-1"}
	create(t, client, large)
	waitPhase(t, client, "large", running)
	create(t, client, small("plain"))
	require.Equal(t, "host-1", waitPhase(t, client, "plain", running).GetHostName())
	create(t, client, using("db", volumes["data"], volumes["logs"]))
	require.Equal(t, "host-2", waitPhase(t, client, "db", running).GetHostName())

	require.ErrorContains(t, refused(t, client, using("torn", volumes["far"], volumes["data"])), "volume far lies on host host-1 and volume data on host host-2")
	elsewhere := using("elsewhere", volumes["far"])
	elsewhere.Placement = &novacronv1.Placement{Host: "host-2"}
	require.ErrorContains(t, refused(t, client, elsewhere), "volume far lies on host host-1, and placement.host asks for host-2")
	err := refused(t, client, using("second", volumes["data"]))
	require.Equal(t, connect.CodeAlreadyExists, connect.CodeOf(err))
	require.ErrorContains(t, err, "volume data is a disk of virtual machine db")
	_, err = client.Storage.DeleteVolume(t.Context(), connect.NewRequest(&novacronv1.DeleteVolumeRequest{Volume: "data"}))
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
	require.ErrorContains(t, err, "volume data is a disk of virtual machine db")

	unfit := using("unfit", volumes["far"])
	unfit.Placement = &novacronv1.Placement{NotHosts: []string{"host-1"}}
	create(t, client, unfit)
	waitFor(t, "the refusal", says(client, "unfit", "1 by a host not wanted, 1 by volume on another host (far on host-1 asked for)"))
	remove(t, client, "unfit")
	remove(t, client, "db")
	waitGone(t, client, "db")
	deleteVolume(t, client, "data")
}

func TestVolumesOfAnotherProjectAreOutOfReach(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1})
	client := admin(t, c, "")
	createVolume(t, client, &novacronv1.VolumeSettings{Name: "data", SizeBytes: 1 << 20})
	volume := awaitVolume(t, client, "data", volumeReady)
	thief := using("thief", volume)
	thief.Project, thief.Volumes[0].ReadOnly = "other", proto.Bool(true)
	err := refused(t, client, thief)
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
	require.ErrorContains(t, err, "does not belong to project other")
	create(t, client, using("owner", volume))
	waitPhase(t, client, "owner", running)
}
