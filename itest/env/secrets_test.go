package env_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

const password = "$6$s3cr3tpassw0rd"

// as is a client with a role of its own.
func as(t *testing.T, c *env.Cluster, role pki.Role, controller string) *env.Client {
	t.Helper()
	joined, err := c.Enroll(t.Context(), "some-"+string(role), role)
	require.NoError(t, err)
	client, err := c.Client(joined.Material, controller, persistent())
	require.NoError(t, err)
	return client
}

func withPassword(name string) *novacronv1.VMSpec {
	spec := small(name)
	spec.CloudInit = &novacronv1.CloudInit{
		UserData: "#cloud-config\npassword: " + password + "\n", MetaData: map[string]string{"token": password},
		NetworkConfig: "version: 2\nwifis: {wlan0: {password: " + password + "}}\n",
	}
	return spec
}

// TestSecretsReachTheGuestAndNobodyElse: whatever answers, logs, events and the domain say, what cloud-init hands on is in the
// guest's seed alone, and in the answer to those who ask and may.
func TestSecretsReachTheGuestAndNobodyElse(t *testing.T) {
	t.Parallel()
	log := &env.Log{}
	c := env.New(t, env.Options{Controllers: 3, Agents: 1, Logger: log.Logger()})
	follower := followers(t, c)[0].Name
	client := admin(t, c, follower)
	ctx := t.Context()
	var said []proto.Message
	hear := func(message proto.Message, err error) {
		t.Helper()
		require.NoError(t, err)
		said = append(said, message)
	}
	created := create(t, client, withPassword("web"))
	hear(created, nil)
	hear(waitPhase(t, client, "web", running), nil)
	listed, err := client.VMs.ListVMs(ctx, connect.NewRequest(&novacronv1.ListVMsRequest{}))
	hear(listed.Msg, err)
	paused, err := client.VMs.SetVMPower(ctx, connect.NewRequest(&novacronv1.SetVMPowerRequest{Vm: "web", Power: novacronv1.PowerState_POWER_STATE_PAUSED}))
	hear(paused.Msg, err)
	planned, err := client.VMs.PlanVM(ctx, connect.NewRequest(&novacronv1.PlanVMRequest{Spec: withPassword("web")}))
	hear(planned.Msg, err)
	require.Contains(t, planned.Msg.GetDomainXml(), "-seed.raw")
	hear(firstOf(t, client), nil)
	domain, err := c.Member("host-1").Host.Driver.Domain(ctx, created.GetId())
	require.NoError(t, err)
	require.NotContains(t, domain.XML, "s3cr3t")
	require.Contains(t, domain.XML, vm.Hidden)
	for _, message := range said {
		require.NotContains(t, prototext.Format(message), "s3cr3t", "%T", message)
		require.Contains(t, prototext.Format(message), vm.Hidden, "%T", message)
	}

	var seed bytes.Buffer
	require.NoError(t, c.Member("host-1").Host.Driver.DownloadVolume(ctx, "default", hypervisor.VolumeName(created.GetId(), vm.SeedVolume, vm.FormatRaw), &seed))
	require.Contains(t, seed.String(), password, "the guest gets it")

	for role, may := range map[pki.Role]bool{pki.RoleOperator: true, pki.RoleViewer: false} {
		answer, err := as(t, c, role, follower).VMs.GetVM(ctx, connect.NewRequest(&novacronv1.GetVMRequest{Vm: "web", Secrets: true}))
		if !may {
			require.Equal(t, connect.CodePermissionDenied, connect.CodeOf(err), role)
			require.ErrorContains(t, err, "role viewer may not see")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, withPassword("web").GetCloudInit().GetUserData(), answer.Msg.GetVm().GetSpec().GetCloudInit().GetUserData())
	}
	require.NotContains(t, log.String(), "s3cr3t")
	require.Contains(t, log.String(), "secrets shown", "it is told who asked")
}

// firstOf is the first machine that a watch tells of.
func firstOf(t *testing.T, client *env.Client) *novacronv1.VM {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := client.VMs.WatchVMs(ctx, connect.NewRequest(&novacronv1.WatchVMsRequest{}))
	require.NoError(t, err)
	defer stream.Close()
	require.True(t, stream.Receive(), stream.Err())
	return stream.Msg().GetVm()
}

// TestWhatWasShownCanBeAppliedAgain: for the machine that it was of, hidden text stands for what is stored; elsewhere it is
// refused.
func TestWhatWasShownCanBeAppliedAgain(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1})
	client := admin(t, c, "")
	create(t, client, withPassword("web"))
	shown := waitPhase(t, client, "web", running).GetSpec()
	plan := func(change func(*novacronv1.VMSpec)) (*novacronv1.PlanVMResponse, error) {
		spec := proto.CloneOf(shown)
		change(spec)
		answer, err := client.VMs.PlanVM(t.Context(), connect.NewRequest(&novacronv1.PlanVMRequest{Spec: spec}))
		if err != nil {
			return nil, err
		}
		return answer.Msg, nil
	}
	same, err := plan(func(*novacronv1.VMSpec) {})
	require.NoError(t, err)
	require.Equal(t, vm.Hidden, same.GetSpec().GetCloudInit().GetUserData(), "it is what is stored")
	other, err := plan(func(spec *novacronv1.VMSpec) { spec.CloudInit.UserData = "#cloud-config\npassword: new\n" })
	require.NoError(t, err)
	require.Equal(t, vm.HiddenDiffers, other.GetSpec().GetCloudInit().GetUserData())
	require.Equal(t, vm.Hidden, other.GetSpec().GetCloudInit().GetNetworkConfig())

	_, err = plan(func(spec *novacronv1.VMSpec) { spec.Name, spec.Uuid = "copy", "" })
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
	require.ErrorContains(t, err, `cloudInit.userData is "(hidden)"`)
	require.ErrorContains(t, err, "--secrets")
	copied := proto.CloneOf(shown)
	copied.Name, copied.Uuid = "copy", ""
	_, err = client.VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: copied}))
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
}

func TestTemplatesKeepTheirSecrets(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 1, Agents: 1})
	client := as(t, c, pki.RoleOperator, "")
	text := "name: web\ndefinition: {cpus: 1, memoryMB: 128, cloudInit: {userData: 'password: " + password + "'}}\n"
	put, err := client.Templates.PutTemplate(t.Context(), connect.NewRequest(&novacronv1.PutTemplateRequest{Text: text}))
	require.NoError(t, err)
	got, err := client.Templates.GetTemplate(t.Context(), connect.NewRequest(&novacronv1.GetTemplateRequest{Name: "web"}))
	require.NoError(t, err)
	all, err := client.Templates.ListTemplates(t.Context(), connect.NewRequest(&novacronv1.ListTemplatesRequest{}))
	require.NoError(t, err)
	rendered, err := client.Templates.RenderTemplate(t.Context(), connect.NewRequest(&novacronv1.RenderTemplateRequest{Name: "web"}))
	require.NoError(t, err)
	for _, message := range []proto.Message{put.Msg, got.Msg, all.Msg, rendered.Msg} {
		require.NotContains(t, prototext.Format(message), "s3cr3t", "%T", message)
		require.Contains(t, prototext.Format(message), vm.Hidden, "%T", message)
	}
	_, err = client.Templates.PutTemplate(t.Context(), connect.NewRequest(&novacronv1.PutTemplateRequest{Text: got.Msg.GetTemplate().GetText()}))
	require.ErrorContains(t, err, "stands for text that was not shown")
	got, err = client.Templates.GetTemplate(t.Context(), connect.NewRequest(&novacronv1.GetTemplateRequest{Name: "web", Secrets: true}))
	require.NoError(t, err)
	require.Equal(t, text, got.Msg.GetTemplate().GetText())
	rendered, err = client.Templates.RenderTemplate(t.Context(), connect.NewRequest(&novacronv1.RenderTemplateRequest{Name: "web", Secrets: true}))
	require.NoError(t, err)
	require.Contains(t, rendered.Msg.GetSpec().GetCloudInit().GetUserData(), password)
}

// TestOnlyAdminsOpenTheHost to a guest; operators run machines of what the cluster has.
func TestOnlyAdminsOpenTheHost(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 1, Logger: slog.New(slog.DiscardHandler)})
	follower := followers(t, c)[0].Name
	operator := as(t, c, pki.RoleOperator, follower)
	plain := create(t, operator, small("plain"))
	waitPhase(t, operator, "plain", running)
	require.NotEmpty(t, plain.GetId())
	for field, open := range map[string]func(*novacronv1.VMSpec){
		"devices.hostDevices[0]": func(s *novacronv1.VMSpec) {
			s.Devices = &novacronv1.DevicesSpec{HostDevices: []*novacronv1.HostDevice{{Usb: "046d:c52b"}}}
		},
		"volumes[1].source": func(s *novacronv1.VMSpec) {
			s.Volumes = []*novacronv1.VolumeSpec{{Name: "mine", SizeGb: 1}, {Name: "theirs", Source: proto.String("passwords.img"), Pool: "default"}}
		},
	} {
		spec := small("open")
		open(spec)
		_, err := operator.VMs.CreateVM(t.Context(), connect.NewRequest(&novacronv1.CreateVMRequest{Spec: spec}))
		require.Equal(t, connect.CodePermissionDenied, connect.CodeOf(err), field)
		require.ErrorContains(t, err, field+": ")
		require.ErrorContains(t, err, "role operator may not give to a guest")
		_, err = operator.VMs.PlanVM(t.Context(), connect.NewRequest(&novacronv1.PlanVMRequest{Spec: spec}))
		require.Equal(t, connect.CodePermissionDenied, connect.CodeOf(err), field)
		_, err = admin(t, c, follower).VMs.PlanVM(t.Context(), connect.NewRequest(&novacronv1.PlanVMRequest{Spec: spec}))
		require.NoError(t, err, "an admin may ask")
	}
	_, err := operator.VMs.AdoptVM(t.Context(), connect.NewRequest(&novacronv1.AdoptVMRequest{Host: "host-1", Domain: "x"}))
	require.Equal(t, connect.CodePermissionDenied, connect.CodeOf(err))

	_, err = operator.Storage.CreateVolume(t.Context(), connect.NewRequest(&novacronv1.CreateVolumeRequest{
		Spec: &novacronv1.VolumeSettings{Name: "ours", SizeBytes: 1 << 20, Format: "raw"}}))
	require.NoError(t, err)
	ours := operatorVolume(t, operator, "ours")
	spec := small("with-ours")
	spec.Volumes = []*novacronv1.VolumeSpec{{Name: "ours", Source: proto.String("nc-vol-" + ours.GetId() + ".raw"), Pool: "default"}}
	create(t, operator, spec)
	waitPhase(t, operator, "with-ours", running)
}

func operatorVolume(t *testing.T, client *env.Client, name string) (volume *novacronv1.Volume) {
	t.Helper()
	waitFor(t, name+" to be ready", func(ctx context.Context) error {
		answer, err := client.Storage.GetVolume(ctx, connect.NewRequest(&novacronv1.GetVolumeRequest{Volume: name}))
		if err != nil {
			return err
		}
		if volume = answer.Msg.GetVolume(); volume.GetStatus().GetState() != novacronv1.VolumeState_VOLUME_STATE_READY {
			return context.DeadlineExceeded
		}
		return nil
	})
	return volume
}
