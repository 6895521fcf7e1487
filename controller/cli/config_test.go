package cli

import (
	"path/filepath"
	"testing"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/stretchr/testify/require"
)

func TestSaveContext(t *testing.T) {
	ca := newAuthority(t)
	path := filepath.Join(t.TempDir(), "new", "config.yaml")
	one := NewContext("one", []string{"a:1"}, ca.material("root", pki.RoleAdmin))
	two := NewContext("two", []string{"b:1"}, ca.material("eve", pki.RoleViewer))
	require.NoError(t, SaveContext(path, one))
	require.NoError(t, SaveContext(path, two))
	one.Endpoints = []string{"c:1"}
	require.NoError(t, SaveContext(path, one))
	cfg, err := LoadConfig(path)
	require.NoError(t, err)
	require.Equal(t, Config{CurrentContext: "one", Contexts: []Context{one, two}}, cfg)

	two.Key = one.Key
	require.ErrorIs(t, SaveContext(path, two), pki.ErrBadMaterial)
	require.ErrorContains(t, SaveContext(path, Context{Name: "x"}), "names no endpoint")
}

func TestConfigPath(t *testing.T) {
	path, err := ConfigPath(IO{Home: "/home/eve"})
	require.NoError(t, err)
	require.Equal(t, "/home/eve/.config/novacron/config.yaml", path)
	path, err = ConfigPath(IO{Home: "/home/eve", Env: func(string) string { return "/etc/x.yaml" }})
	require.NoError(t, err)
	require.Equal(t, "/etc/x.yaml", path)
	_, err = ConfigPath(IO{})
	require.ErrorContains(t, err, "no home directory")
}
