package env_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/cluster/blob"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

const (
	running = novacronv1.VMPhase_VM_PHASE_RUNNING
	stopped = novacronv1.VMPhase_VM_PHASE_STOPPED
)

func TestMachineLivesThroughAnyController(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 2})
	for _, member := range c.Members(pki.RoleController) {
		t.Run(member.Name, func(t *testing.T) {
			client := admin(t, c, member.Name)
			name := "vm-" + member.Name
			created := create(t, client, small(name))
			require.Equal(t, name, created.GetSpec().GetName())
			waitPhase(t, client, name, running)
			power(t, client, name, novacronv1.PowerState_POWER_STATE_STOPPED)
			waitPhase(t, client, name, stopped)
			power(t, client, name, novacronv1.PowerState_POWER_STATE_RUNNING)
			waitPhase(t, client, name, running)
			remove(t, client, name)
			waitGone(t, client, name)
		})
	}
	require.Empty(t, leftovers(c))
}

func TestRetriedCreateMakesOneMachine(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 1})
	ids := make([]string, 9)
	var calls sync.WaitGroup
	for i := range ids {
		client := admin(t, c, c.Members(pki.RoleController)[i%3].Name)
		calls.Go(func() {
			answer, err := client.VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: small("one"), RequestId: "try"}))
			if err == nil {
				ids[i] = answer.Msg.GetVm().GetId()
			}
		})
	}
	calls.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
	require.NotEmpty(t, ids[0])
	_, err := admin(t, c, "").VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: small("one"), RequestId: "another"}))
	require.Equal(t, connect.CodeAlreadyExists, connect.CodeOf(err))
	require.ErrorContains(t, err, "choose another name")
}

func TestLeaderStoppedBetweenCreateAndBoot(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 2})
	for _, host := range c.Members(pki.RoleAgent) {
		host.Host.Faults.Arm("hypervisor.create.start.before", "hang") // until the agents restart
	}
	first := leader(t, c)
	create(t, admin(t, c, first.Name), small("survivor"))
	require.NoError(t, first.Stop())
	for _, host := range c.Members(pki.RoleAgent) {
		host.Host.Faults.Disarm("hypervisor.create.start.before")
		require.NoError(t, host.Restart(t.Context()))
	}
	client := admin(t, c, "")
	waitPhase(t, client, "survivor", running)
	domains := 0
	for _, host := range c.Members(pki.RoleAgent) {
		all, err := host.Host.Driver.Domains(t.Context())
		require.NoError(t, err)
		domains += len(all)
	}
	require.Equal(t, 1, domains, "it must run once: %v", leftovers(c))
	require.NoError(t, first.Start(t.Context()))
	remove(t, client, "survivor")
	waitGone(t, client, "survivor")
	require.Empty(t, leftovers(c))
}

func TestNoRoomSaysWhy(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 3,
		Host: func(name string) fake.Options {
			if name == "host-1" {
				return fake.Options{Facts: hypervisor.HostFacts{CPUs: 1, MemoryMB: 1024}}
			}
			return fake.Options{}
		},
		Agent: func(name string) node.AgentConfig {
			if name == "host-2" {
				return node.AgentConfig{Labels: map[string]string{"disk": "ssd"}}
			}
			return node.AgentConfig{}
		},
	})
	client := admin(t, c, "")
	spec := small("giant")
	spec.MemoryMb = 1 << 19
	spec.Placement = &novacronv1.Placement{HostLabels: map[string]string{"disk": "ssd"}}
	created := create(t, client, spec)
	var message string
	waitFor(t, "a refusal", func(ctx context.Context) error {
		answer, err := client.VMs.GetVM(ctx, connect.NewRequest(&novacronv1.GetVMRequest{Vm: created.GetId()}))
		if message = answer.Msg.GetVm().GetStatus().GetMessage(); err == nil && message == "waiting for a host" {
			err = errors.New(message)
		}
		return err
	})
	require.Contains(t, message, "no host fits: of 3 hosts")
	require.Contains(t, message, "2 by label (disk=ssd asked for)")
	require.Contains(t, message, "1 by memory (524288 MiB asked for)")
	remove(t, client, "giant")
	waitGone(t, client, "giant")
	require.Empty(t, leftovers(c))
}

func TestImagesComeFromPeersAndAreKeptWhileUsed(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 1})
	follower := followers(t, c)[0]
	client := admin(t, c, follower.Name)
	content := bytes.Repeat([]byte("a disk that boots nothing "), 40<<10)
	image := addImage(t, client, "disk", content)
	require.Equal(t, "raw", image.GetFormat())
	require.EqualValues(t, len(content), image.GetSizeBytes())

	list, err := client.Images.ListImages(t.Context(), connect.NewRequest(&novacronv1.ListImagesRequest{}))
	require.NoError(t, err)
	require.Len(t, list.Msg.GetImages(), 1)

	spec := small("user")
	spec.Image = "disk"
	create(t, client, spec)
	waitPhase(t, client, "user", running)
	store, err := blob.Open(c.Member("host-1").Config.BlobDir(), blob.Limits{})
	require.NoError(t, err)
	require.NoError(t, store.Verify(t.Context()))
	_, err = store.Stat(image.GetSha256())
	require.NoError(t, err, "the host has fetched the image")
	require.NoError(t, store.Close())

	_, err = client.Images.DeleteImage(t.Context(), connect.NewRequest(&novacronv1.DeleteImageRequest{Name: "disk"}))
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
	require.ErrorContains(t, err, "used by virtual machine user")

	remove(t, client, "user")
	waitGone(t, client, "user")
	_, err = client.Images.DeleteImage(t.Context(), connect.NewRequest(&novacronv1.DeleteImageRequest{Name: "disk"}))
	require.NoError(t, err)
	_, err = client.Images.GetImage(t.Context(), connect.NewRequest(&novacronv1.GetImageRequest{Name: "disk"}))
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(err))
	require.Empty(t, leftovers(c))
}

func TestListsGoOnWhereTheyEnded(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1})
	client := admin(t, c, "")
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("vm-%02d", i)
		want = append(want, name)
		create(t, client, small(name))
	}
	for _, size := range []uint32{1, 7, 25, 100} {
		var got []string
		for token := ""; ; {
			page, err := client.VMs.ListVMs(t.Context(), connect.NewRequest(&novacronv1.ListVMsRequest{PageSize: size, PageToken: token}))
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Msg.GetVms()), int(size))
			for _, vm := range page.Msg.GetVms() {
				got = append(got, vm.GetSpec().GetName())
			}
			if token = page.Msg.GetNextPageToken(); token == "" {
				break
			}
		}
		require.Equal(t, want, got, "page size %d", size)
	}
}
