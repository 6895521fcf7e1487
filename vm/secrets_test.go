package vm_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/vmtest"
)

const password = "$6$rounds=4096$s3cr3t"

func withSecrets() vm.Definition {
	return machine(func(d *vm.Definition) {
		d.CloudInit = &vm.CloudInit{
			UserData: "#cloud-config\npasswd: " + password + "\n", MetaData: map[string]string{"token": password, "more": password},
			NetworkConfig: "version: 2\nwifis: {wlan0: {password: " + password + "}}\n", SSHKeys: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA ops"},
		}
	})
}

func TestSecretsAreHiddenAndComeBack(t *testing.T) {
	def := withSecrets()
	shown := def.WithoutSecrets()
	text, err := vm.Marshal(shown)
	require.NoError(t, err)
	require.NotContains(t, string(text), "s3cr3t")
	require.Contains(t, string(text), "ssh-ed25519", "public keys are no secrets")
	require.Contains(t, string(text), "token", "nor are the keys of the meta-data")
	require.Equal(t, shown, shown.WithoutSecrets())
	require.Equal(t, withSecrets(), def, "nothing of it is shared")

	parsed, err := vm.ParseYAML(text)
	require.NoError(t, err)
	back, err := vm.RestoreSecrets(vm.Normalise(parsed, vm.Defaults{}), def)
	require.NoError(t, err)
	require.Equal(t, def, back)
	parsed.CloudInit.UserData = "#cloud-config\n{}\n"
	back, err = vm.RestoreSecrets(parsed, def)
	require.NoError(t, err)
	require.Equal(t, "#cloud-config\n{}\n", back.CloudInit.UserData, "what is given is taken")
}

func TestHiddenSecretsOfNobodyAreRefused(t *testing.T) {
	shown := withSecrets().WithoutSecrets()
	for _, stored := range []vm.Definition{machine(nil), machine(func(d *vm.Definition) { d.CloudInit = &vm.CloudInit{Hostname: "x"} })} {
		_, err := vm.RestoreSecrets(shown, stored)
		require.ErrorContains(t, err, `cloudInit.userData is "(hidden)"`)
		require.ErrorContains(t, err, "cloudInit.metaData[token]")
		require.ErrorContains(t, err, "--secrets")
	}
}

func TestDifferencesOfSecretsAreToldWithoutThem(t *testing.T) {
	def := withSecrets()
	def.CloudInit.UserData += "more: true\n"
	marked := vm.MarkDifferences(def, withSecrets())
	require.Equal(t, vm.HiddenDiffers, marked.CloudInit.UserData)
	require.Equal(t, vm.Hidden, marked.CloudInit.NetworkConfig)
	require.Equal(t, marked, marked.WithoutSecrets())
	_, err := vm.RestoreSecrets(marked, withSecrets())
	require.ErrorContains(t, err, "(hidden, differs)", "it is not what is stored")
	require.Equal(t, []vm.Change{{Path: "cloudInit.userData", From: vm.HiddenDiffers, To: vm.HiddenDiffers}}, vm.Diff(withSecrets(), def))
}

func TestFaultsShowNoSecrets(t *testing.T) {
	def := withSecrets()
	def.CloudInit.UserData += "\x00"
	def.CloudInit.NetworkConfig = password
	def.CloudInit.MetaData["token"] += "\x01"
	err := vm.Validate(def)
	require.ErrorContains(t, err, "cloudInit.userData")
	require.ErrorContains(t, err, "cloudInit.networkConfig")
	require.ErrorContains(t, err, "cloudInit.metaData[token]")
	require.NotContains(t, err.Error(), "s3cr3t")
}

// TestBothFormsHideTheSame, and a definition without secrets is handed on as it is.
func TestBothFormsHideTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		def := vmtest.Valid(vmtest.Options{}).Draw(t, "definition")
		spec := vm.ToProto(def)
		before := proto.CloneOf(spec)
		hidden := vm.HideSecrets(spec)
		require.True(t, proto.Equal(before, spec), "records are shared: never changed")
		require.Equal(t, def.WithoutSecrets(), vm.FromProto(hidden))
		if proto.Equal(hidden, spec) {
			require.Same(t, spec, hidden)
		}
		back, err := vm.RestoreSecrets(vm.FromProto(hidden), def)
		require.NoError(t, err)
		require.Equal(t, vm.Clone(def), back)
		if c := def.CloudInit; c != nil && len(c.UserData) > 8 {
			require.NotContains(t, vm.HideSecrets(spec).GetCloudInit().GetUserData(), c.UserData)
		}
	})
}
