package cloudinit

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/novacron/novacron/vm"
)

func sample() vm.Definition {
	return vm.Definition{
		Name: "web-1", UUID: "6f1c2f6e-0a3b-4c1d-9e2f-3a4b5c6d7e8f",
		CloudInit: &vm.CloudInit{
			UserData: "#cloud-config\nruncmd: [touch /done]\n", NetworkConfig: "version: 2\nethernets: {}\n", Hostname: "front",
			SSHKeys:  []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB2x a@b: c"},
			MetaData: map[string]string{"role": "on", "note": "a: b\n- c"},
		},
	}
}

func TestSeedOfOneDefinitionIsAlwaysTheSame(t *testing.T) {
	first, err := Seed(sample())
	require.NoError(t, err)
	require.Zero(t, len(first)%sector)
	require.Equal(t, "cidata", string(first[32808:32814]), "where a guest looks for the label")
	for range 20 {
		again, err := Seed(sample())
		require.NoError(t, err)
		require.True(t, bytes.Equal(first, again))
	}
}

// allowed tells what a definition may carry.
func allowed(text string) bool {
	return vm.Validate(vm.Definition{Name: "a", CPUs: 1, MemoryMB: 64, CloudInit: &vm.CloudInit{MetaData: map[string]string{"note": text}}}) == nil
}

// Whatever text is in it, the YAML says what was given and nothing more.
func TestMetaDataIsEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		def := sample()
		text := rapid.String().Filter(allowed).Draw(t, "text")
		def.CloudInit.MetaData = map[string]string{"note": text}
		files, err := Files(def)
		require.NoError(t, err)
		var back map[string]any
		require.NoError(t, yaml.Unmarshal(files[0].Content, &back))
		require.Equal(t, map[string]any{
			"instance-id": def.UUID, "local-hostname": "front", "note": text, "public-keys": []any{def.CloudInit.SSHKeys[0]},
		}, back)
	})
}

func TestSeedWithoutUserDataHasAValidNothing(t *testing.T) {
	def := vm.Definition{Name: "web_1", UUID: "6f1c2f6e-0a3b-4c1d-9e2f-3a4b5c6d7e8f", CloudInit: &vm.CloudInit{}}
	files, err := Files(def)
	require.NoError(t, err)
	require.Len(t, files, 2)
	require.Equal(t, "instance-id: "+def.UUID+"\nlocal-hostname: web-1\n", string(files[0].Content))
	require.Equal(t, noUserData, string(files[1].Content))
	_, err = Seed(vm.Definition{Name: "a"})
	require.Error(t, err)
}

func TestImageIsBounded(t *testing.T) {
	for name, files := range map[string][]File{
		"empty name": {{Name: ""}}, "long name": {{Name: strings.Repeat("a", 31)}}, "path": {{Name: "../x"}}, "twice": {{Name: "a-b"}, {Name: "a-b"}},
		"large": {{"a", make([]byte, maxImageBytes+1)}}, "many": make([]File, maxFiles+1),
	} {
		_, err := Image(Label, files)
		require.ErrorIs(t, err, ErrImage, name)
	}
	_, err := Image("", nil)
	require.ErrorIs(t, err, ErrImage)
}

// isoinfo is somebody else's reader.
func TestImageIsReadByOthers(t *testing.T) {
	tool, err := exec.LookPath("isoinfo")
	if err != nil {
		t.Skipf("isoinfo is not installed: %v", err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		var files []File
		for _, name := range []string{"user-data", "meta-data", "network-config"} {
			files = append(files, File{name, rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(rt, name)})
		}
		image, err := Image(Label, files)
		require.NoError(rt, err)
		path := filepath.Join(t.TempDir(), "seed.iso")
		require.NoError(rt, os.WriteFile(path, image, 0o600))
		for _, f := range files {
			for _, args := range [][]string{{"-J", "-x", "/" + f.Name}, {"-x", "/" + plainName(f.Name)}} {
				out, err := exec.CommandContext(t.Context(), tool, append([]string{"-i", path}, args...)...).Output()
				require.NoError(rt, err)
				require.True(rt, bytes.Equal(f.Content, out), "%v", args)
			}
		}
	})
}

func TestImageIsMounted(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	image, err := Seed(sample())
	require.NoError(t, err)
	dir := t.TempDir()
	path, at := filepath.Join(dir, "seed.iso"), filepath.Join(dir, "mnt")
	require.NoError(t, os.WriteFile(path, image, 0o600))
	require.NoError(t, os.Mkdir(at, 0o700))
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "ro,loop", "-t", "iso9660", path, at).CombinedOutput(); err != nil {
		t.Skipf("no loop mounts here: %s", out)
	}
	defer func() {
		require.NoError(t, exec.CommandContext(context.WithoutCancel(t.Context()), "umount", at).Run())
	}()
	user, err := os.ReadFile(filepath.Join(at, "user-data"))
	require.NoError(t, err)
	require.Equal(t, sample().CloudInit.UserData, string(user))
	require.FileExists(t, filepath.Join(at, "network-config"))
}

func BenchmarkSeed(b *testing.B) {
	def := sample()
	for b.Loop() {
		if _, err := Seed(def); err != nil {
			b.Fatal(err)
		}
	}
}
