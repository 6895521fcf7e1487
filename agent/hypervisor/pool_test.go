package hypervisor_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
)

func poolSpecs() map[string]hypervisor.PoolSpec {
	return map[string]hypervisor.PoolSpec{
		"dir":     {Name: "data", Type: hypervisor.PoolDir, Path: "/srv/data"},
		"logical": {Name: "fast", Type: hypervisor.PoolLVM, Source: "vg0"},
		"netfs":   {Name: "nas", Type: hypervisor.PoolNFS, Path: "/srv/nas", Hosts: []string{"nas.example.org"}, Source: "/export/vms"},
		"iscsi": {Name: "san", Type: hypervisor.PoolISCSI, Path: "/dev/disk/by-path", Hosts: []string{"10.0.0.5:3260"},
			Source: "iqn.2013-06.com.example:pool"},
		"rbd": {Name: "ceph", Type: hypervisor.PoolRBD, Hosts: []string{"mon1:6789", "mon2"}, Source: "vms", User: "admin",
			Secret: "2ec115d7-3a88-3ceb-bc12-0ac909a6fd87"},
	}
}

func TestPoolXML(t *testing.T) {
	for name, spec := range poolSpecs() {
		text, err := spec.XML()
		require.NoError(t, err)
		golden := filepath.Join("testdata", "pool-"+name+".xml")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			require.NoError(t, os.WriteFile(golden, []byte(text+"\n"), 0o600))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, string(want), text+"\n")
	}
}

// The golden files are what libvirt's own schema accepts.
func TestPoolXMLIsOfLibvirtsSchema(t *testing.T) {
	const schema = "/usr/share/libvirt/schemas/storagepool.rng"
	if _, err := os.Stat(schema); err != nil {
		t.Skipf("libvirt's schemas are not installed: %v", err)
	}
	if _, err := exec.LookPath("xmllint"); err != nil {
		t.Skipf("no validator: %v", err)
	}
	for name := range poolSpecs() {
		out, err := exec.CommandContext(t.Context(), "xmllint", "--noout", "--relaxng", schema, filepath.Join("testdata", "pool-"+name+".xml")).CombinedOutput()
		require.NoError(t, err, string(out))
	}
}

func TestPoolSpecIsChecked(t *testing.T) {
	for text, change := range map[string]func(*hypervisor.PoolSpec){
		"name:":               func(p *hypervisor.PoolSpec) { p.Name = "../x" },
		"type:":               func(p *hypervisor.PoolSpec) { p.Type = "zfs" },
		"path: \"\"":          func(p *hypervisor.PoolSpec) { p.Path = "" },
		"plain absolute path": func(p *hypervisor.PoolSpec) { p.Path = "/srv/../etc" },
		"belongs to":          func(p *hypervisor.PoolSpec) { p.Path = "/etc/libvirt" },
		"hosts: 1":            func(p *hypervisor.PoolSpec) { p.Hosts = []string{"a"} },
		"source:":             func(p *hypervisor.PoolSpec) { p.Type, p.Path = hypervisor.PoolLVM, "" },
		"user:":               func(p *hypervisor.PoolSpec) { p.User = "a" },
	} {
		spec := poolSpecs()["dir"]
		change(&spec)
		require.ErrorContains(t, spec.Check(), text)
	}
	rbd := poolSpecs()["rbd"]
	rbd.Secret = "x"
	require.ErrorContains(t, rbd.Check(), "secret:")
	rbd = poolSpecs()["rbd"]
	rbd.Hosts = []string{"a b"}
	require.ErrorContains(t, rbd.Check(), "host:port")
}

func TestPoolsAreAttachedAndDetached(t *testing.T) {
	h := newHost(t, fake.Options{})
	spec := poolSpecs()["dir"]
	for range 2 {
		require.NoError(t, h.CreatePool(t.Context(), spec))
	}
	other := spec
	other.Path = "/srv/other"
	require.ErrorIs(t, h.CreatePool(t.Context(), other), hypervisor.ErrExists)
	other = spec
	other.Name = "second"
	require.ErrorIs(t, h.CreatePool(t.Context(), other), hypervisor.ErrExists, "one folder, one pool")
	o := order("raw")
	o.Pool = spec.Name
	_, err := h.EnsureVolume(t.Context(), o)
	require.NoError(t, err)
	require.ErrorIs(t, h.DeletePool(t.Context(), spec.Name), hypervisor.ErrInUse)
	require.NoError(t, h.RemoveVolume(t.Context(), o.ID, o.Pool, o.Format))
	require.NoError(t, h.DeletePool(t.Context(), spec.Name))
	require.ErrorIs(t, h.DeletePool(t.Context(), spec.Name), hypervisor.ErrNotFound)
}
