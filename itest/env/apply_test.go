package env_test

import (
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

func TestADefinitionThatIsReadBackChangesNothing(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 1})
	client := admin(t, c, followers(t, c)[0].Name)
	apply := func(spec *novacronv1.VMSpec, dry bool) *novacronv1.ApplyVMResponse {
		answer, err := client.VMs.ApplyVM(t.Context(), connect.NewRequest(&novacronv1.ApplyVMRequest{Spec: spec, DryRun: dry}))
		require.NoError(t, err)
		return answer.Msg
	}
	spec := small("web")
	spec.NetworkInterfaces = []*novacronv1.NetworkInterfaceSpec{{}}
	spec.CloudInit = &novacronv1.CloudInit{UserData: "#cloud-config\n{}\n"}
	require.Nil(t, apply(spec, true).GetVm(), "a dry run makes nothing")
	require.True(t, apply(spec, false).GetCreated())
	made := waitPhase(t, client, "web", running)
	for _, same := range []*novacronv1.VMSpec{spec, made.GetSpec()} {
		answer := apply(same, false)
		require.Empty(t, answer.GetChanges())
		require.Equal(t, made.GetRevision(), answer.GetVm().GetRevision(), "not even a revision")
	}
	next := proto.CloneOf(made.GetSpec())
	next.DiskGb = 2
	require.Len(t, apply(next, false).GetChanges(), 1)
	waitPhase(t, client, "web", running)
	next.MemoryMb = 256
	_, err := client.VMs.ApplyVM(t.Context(), connect.NewRequest(&novacronv1.ApplyVMRequest{Spec: next}))
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
	require.ErrorContains(t, err, "stop it first")
	power(t, client, "web", novacronv1.PowerState_POWER_STATE_STOPPED)
	waitPhase(t, client, "web", stopped)
	require.Equal(t, "stopped", apply(next, false).GetChanges()[0].GetEffect())
	waitPhase(t, client, "web", stopped)

	for _, want := range []string{"web-2", "web-3"} {
		answer, err := client.VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: small("web"), GenerateName: true}))
		require.NoError(t, err)
		require.Equal(t, want, answer.Msg.GetVm().GetSpec().GetName())
	}
}
