package env_test

import (
	"context"
	"fmt"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// drive is the volume in the machine's CD-ROM drive on its host, by the drive's target.
func drive(t *testing.T, c *env.Cluster, host, id, target string) string {
	t.Helper()
	seen, err := c.Member(host).Host.Driver.Domain(t.Context(), id)
	require.NoError(t, err)
	return fake.InDrive(seen.XML, target)
}

func TestISOGoesInAndOutThroughTheCluster(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 1})
	client := admin(t, c, followers(t, c)[0].Name)
	addImage(t, client, "installer", make([]byte, 64<<10))
	addImage(t, client, "rescue", make([]byte, 128<<10))
	made := create(t, client, small("web"))
	waitPhase(t, client, "web", running)

	attach := func(r *novacronv1.AttachISORequest) error {
		_, err := client.VMs.AttachISO(t.Context(), connect.NewRequest(r))
		return err
	}
	require.NoError(t, attach(&novacronv1.AttachISORequest{Vm: "web", Image: "installer"}))
	record := waitPhase(t, client, "web", running)
	require.Equal(t, novacronv1.OperationState_OPERATION_STATE_DONE, record.GetOperation().GetState())
	require.Equal(t, "installer", record.GetSpec().GetVolumes()[0].GetImage())
	require.Contains(t, drive(t, c, "host-1", made.GetId(), "sda"), "nc-base-")

	_, err := client.Images.DeleteImage(t.Context(), connect.NewRequest(&novacronv1.DeleteImageRequest{Name: "installer"}))
	require.ErrorContains(t, err, "used by virtual machine web")
	_, err = client.VMs.EjectISO(t.Context(), connect.NewRequest(&novacronv1.EjectISORequest{Vm: "web"}))
	require.NoError(t, err)
	record = waitPhase(t, client, "web", running)
	require.Empty(t, record.GetSpec().GetVolumes()[0].GetImage())
	require.Empty(t, record.GetImages())
	require.Empty(t, drive(t, c, "host-1", made.GetId(), "sda"))
	_, err = client.Images.DeleteImage(t.Context(), connect.NewRequest(&novacronv1.DeleteImageRequest{Name: "installer"}))
	require.NoError(t, err, "nothing needs it any more")

	for text, r := range map[string]*novacronv1.AttachISORequest{
		"image, volume: exactly one":  {Vm: "web"},
		`"nope" is not in the cluste`: {Vm: "web", Image: "nope"},
		`volume "nope"`:               {Vm: "web", Volume: "nope"},
		"its drives are iso":          {Vm: "web", Image: "rescue", Drive: "dvd"},
	} {
		require.ErrorContains(t, attach(r), text)
	}

	power(t, client, "web", novacronv1.PowerState_POWER_STATE_STOPPED)
	waitPhase(t, client, "web", stopped)
	require.NoError(t, attach(&novacronv1.AttachISORequest{Vm: "web", Image: "rescue"}))
	waitPhase(t, client, "web", stopped)
	power(t, client, "web", novacronv1.PowerState_POWER_STATE_RUNNING)
	waitPhase(t, client, "web", running)
	require.Contains(t, drive(t, c, "host-1", made.GetId(), "sda"), "nc-base-")
	remove(t, client, "web")
	waitGone(t, client, "web")
	require.Empty(t, leftovers(c))
}

func TestRawVolumeOfTheSameHostLiesInADrive(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 2})
	client := admin(t, c, "")
	spec := small("web")
	spec.Placement = &novacronv1.Placement{Host: "host-1"}
	made := create(t, client, spec)
	waitPhase(t, client, "web", running)
	volume := func(name, host, format string) {
		_, err := client.Storage.CreateVolume(t.Context(), connect.NewRequest(&novacronv1.CreateVolumeRequest{
			Spec: &novacronv1.VolumeSettings{Name: name, Host: host, Format: format, SizeBytes: 1 << 20}}))
		require.NoError(t, err)
		waitFor(t, name+" to be ready", func(ctx context.Context) error {
			answer, err := client.Storage.GetVolume(ctx, connect.NewRequest(&novacronv1.GetVolumeRequest{Volume: name}))
			if state := answer.Msg.GetVolume().GetStatus().GetState(); err == nil && state != novacronv1.VolumeState_VOLUME_STATE_READY {
				err = fmt.Errorf("it is %s", state)
			}
			return err
		})
	}
	volume("near", "host-1", "raw")
	volume("far", "host-2", "raw")
	volume("packed", "host-1", "qcow2")
	for name, text := range map[string]string{"far": "is on host host-2, virtual machine web on host-1", "packed": "a drive reads raw ones"} {
		_, err := client.VMs.AttachISO(t.Context(), connect.NewRequest(&novacronv1.AttachISORequest{Vm: "web", Volume: name}))
		require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
		require.ErrorContains(t, err, text)
	}
	_, err := client.VMs.AttachISO(t.Context(), connect.NewRequest(&novacronv1.AttachISORequest{Vm: "web", Volume: "near"}))
	require.NoError(t, err)
	waitPhase(t, client, "web", running)
	require.Contains(t, drive(t, c, "host-1", made.GetId(), "sda"), "nc-vol-")
	_, err = client.Storage.DeleteVolume(t.Context(), connect.NewRequest(&novacronv1.DeleteVolumeRequest{Volume: "near"}))
	require.ErrorContains(t, err, "is a disk of virtual machine web")
}

func TestLockedDriveSaysHowToOpenIt(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1, Host: func(string) fake.Options { return fake.Options{LockedDrives: true} }})
	client := admin(t, c, "")
	addImage(t, client, "installer", make([]byte, 64<<10))
	spec := small("web")
	spec.Iso = proto.String("installer")
	create(t, client, spec)
	waitPhase(t, client, "web", running)
	eject := func(force bool) {
		_, err := client.VMs.EjectISO(t.Context(), connect.NewRequest(&novacronv1.EjectISORequest{Vm: "web", Force: force}))
		require.NoError(t, err)
	}
	eject(false)
	failed := waitPhase(t, client, "web", novacronv1.VMPhase_VM_PHASE_FAILED)
	require.Contains(t, failed.GetStatus().GetMessage(), "locked by the guest")
	domain, err := c.Member("host-1").Host.Driver.Domain(t.Context(), failed.GetId())
	require.NoError(t, err)
	require.Equal(t, hypervisor.StateRunning, domain.State, "the guest runs on")
	eject(true)
	waitPhase(t, client, "web", running)
	require.Empty(t, drive(t, c, "host-1", failed.GetId(), "sda"))
}
