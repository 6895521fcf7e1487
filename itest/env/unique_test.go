package env_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// race has every controller asked for a machine at once, and gives who won; all others must be told that it exists.
func race(t *testing.T, c *env.Cluster, each func(i int) *novacronv1.VMSpec) *novacronv1.VM {
	t.Helper()
	var racing sync.WaitGroup
	vms, errs := make([]*novacronv1.VM, 9), make([]error, 9)
	controllers := c.Members(pki.RoleController)
	for i := range vms {
		client, spec := admin(t, c, controllers[i%len(controllers)].Name), each(i)
		racing.Go(func() {
			answer, err := client.VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: spec, RequestId: uuid.NewString()}))
			if errs[i] = err; err == nil {
				vms[i] = answer.Msg.GetVm()
			}
		})
	}
	racing.Wait()
	var winner *novacronv1.VM
	for i, err := range errs {
		if err == nil {
			require.Nil(t, winner, "two won")
			winner = vms[i]
			continue
		}
		require.Equal(t, connect.CodeAlreadyExists, connect.CodeOf(err), err)
	}
	require.NotNil(t, winner)
	return winner
}

// Rules 1, 3 and 30: whoever asks whom for what at the same time, a name within a project, an id and a MAC address are one
// machine's, wherever it runs.
func TestIdentitiesAreUniqueInTheCluster(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 2})
	client := admin(t, c, "")
	refusal := func(spec *novacronv1.VMSpec, words ...string) {
		t.Helper()
		_, err := client.VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: spec}))
		require.Equal(t, connect.CodeAlreadyExists, connect.CodeOf(err))
		for _, word := range words {
			require.ErrorContains(t, err, word)
		}
	}
	on := func(spec *novacronv1.VMSpec, host string) *novacronv1.VMSpec {
		spec.Placement = &novacronv1.Placement{Host: host}
		return spec
	}
	withMAC := func(spec *novacronv1.VMSpec, mac string) *novacronv1.VMSpec {
		spec.NetworkInterfaces = []*novacronv1.NetworkInterfaceSpec{{Network: "default", Mac: mac}}
		return spec
	}

	named := race(t, c, func(i int) *novacronv1.VMSpec { return on(small("same"), fmt.Sprint("host-", 1+i%2)) })
	refusal(small("same"), `name: "same" is virtual machine `+named.GetId()+" in project default", "choose another name")
	elsewhere := small("same")
	elsewhere.Project = "other"
	create(t, client, elsewhere)

	id := uuid.NewString()
	race(t, c, func(i int) *novacronv1.VMSpec {
		spec := on(small(fmt.Sprint("id-", i)), fmt.Sprint("host-", 1+i%2))
		spec.Uuid = id
		return spec
	})
	again := small("again")
	again.Uuid, again.Project = strings.ToUpper(id), "other"
	refusal(again, "uuid: "+id+" belongs to another virtual machine", "leave it out")

	const mac = "52:54:00:12:34:56"
	first := race(t, c, func(i int) *novacronv1.VMSpec {
		return withMAC(on(small(fmt.Sprint("mac-", i)), fmt.Sprint("host-", 1+i%2)), mac)
	})
	twin := withMAC(small("twin"), strings.ToUpper(mac))
	twin.Project = "other"
	refusal(twin, "networkInterfaces[0].mac: "+mac+" belongs to virtual machine "+first.GetSpec().GetName())
	waitPhase(t, client, first.GetSpec().GetName(), running)
	remove(t, client, first.GetSpec().GetName())
	waitGone(t, client, first.GetSpec().GetName())
	create(t, client, withMAC(small("heir"), mac))
	waitPhase(t, client, "heir", running)
}

// What the cluster did not make it does not know, but the host that has it does, and an adopted machine is known to all.
func TestAddressesOfForeignAndAdoptedDomainsAreTheirs(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 2})
	client := admin(t, c, "")
	const mac = "52:54:00:ab:cd:ef"
	require.NoError(t, c.Member("host-1").Host.Driver.Define(t.Context(), "<domain type='qemu'><name>stranger</name><uuid>"+uuid.NewString()+
		"</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><devices><interface type='user'><mac address='"+strings.ToUpper(mac)+"'/></interface></devices></domain>"))
	spec := func(name, host string) *novacronv1.VMSpec {
		one := small(name)
		one.Placement = &novacronv1.Placement{Host: host}
		one.NetworkInterfaces = []*novacronv1.NetworkInterfaceSpec{{Network: "default", Mac: mac}}
		return one
	}
	create(t, client, spec("twin", "host-1"))
	failed := waitPhase(t, client, "twin", novacronv1.VMPhase_VM_PHASE_FAILED)
	require.Contains(t, failed.GetStatus().GetMessage(), "networkInterfaces[0].mac is "+mac)
	require.Contains(t, failed.GetStatus().GetMessage(), "stranger has it")
	adopt := func() error {
		_, err := client.VMs.AdoptVM(t.Context(), connect.NewRequest(&novacronv1.AdoptVMRequest{Host: "host-1", Domain: "stranger"}))
		return err
	}
	require.ErrorContains(t, adopt(), "MAC address "+mac+" belongs to virtual machine twin")
	remove(t, client, "twin")
	waitGone(t, client, "twin")
	require.NoError(t, adopt())
	_, err := client.VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: spec("far", "host-2")}))
	require.ErrorContains(t, err, "belongs to virtual machine stranger")
}

// Rule 26: a volume that the cluster did not make is one machine's on its host; on another host the same name is another volume.
func TestAPathIsOneMachines(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 2})
	client := admin(t, c, "")
	plant(t, c.Member("host-1"), "old.qcow2")
	plant(t, c.Member("host-2"), "old.qcow2")
	spec := func(name, host string) *novacronv1.VMSpec {
		one := small(name)
		one.Placement = &novacronv1.Placement{Host: host}
		one.Volumes = []*novacronv1.VolumeSpec{{Name: "old", Pool: "default", Format: "qcow2", Source: proto.String("old.qcow2")}}
		return one
	}
	create(t, client, spec("first", "host-1"))
	waitPhase(t, client, "first", running)
	power(t, client, "first", novacronv1.PowerState_POWER_STATE_STOPPED)
	waitPhase(t, client, "first", stopped)
	create(t, client, spec("second", "host-1"))
	failed := waitPhase(t, client, "second", novacronv1.VMPhase_VM_PHASE_FAILED)
	require.Contains(t, failed.GetStatus().GetMessage(), "volumes[0].source is old.qcow2")
	require.Contains(t, failed.GetStatus().GetMessage(), "first uses it")
	create(t, client, spec("far", "host-2"))
	waitPhase(t, client, "far", running)
}
