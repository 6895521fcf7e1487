package drivertest

import (
	"bytes"
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
)

func (g Target) listing(t *testing.T) {
	made := g.volume(t, hypervisor.VolumeSpec{Name: "contract-list.raw", Format: "raw", CapacityBytes: 1 << 20})
	all, err := g.Driver.Volumes(t.Context(), g.Pool)
	require.NoError(t, err)
	var paths []string
	for _, v := range all {
		require.Equal(t, g.Pool, v.Pool)
		paths = append(paths, v.Path)
	}
	require.Contains(t, paths, made.Path)
	require.NoError(t, g.Driver.RefreshPool(t.Context(), g.Pool))
	_, err = g.Driver.Volumes(t.Context(), "no-such")
	require.ErrorIs(t, err, hypervisor.ErrNotFound)
	require.ErrorIs(t, g.Driver.RefreshPool(t.Context(), "no-such"), hypervisor.ErrNotFound)
}

func (g Target) clone(t *testing.T) {
	from := g.volume(t, hypervisor.VolumeSpec{Name: "contract-from.raw", Format: "raw", CapacityBytes: 1 << 20})
	spec := hypervisor.VolumeSpec{Pool: g.Pool, Name: "contract-clone.raw", Format: "raw", CapacityBytes: 1 << 20}
	_, err := g.Driver.CloneVolume(t.Context(), spec, hypervisor.VolumeRef{Pool: g.Pool, Name: "no-such"})
	require.ErrorIs(t, err, hypervisor.ErrNotFound)
	source := hypervisor.VolumeRef{Pool: g.Pool, Name: from.Name}
	made, err := g.Driver.CloneVolume(t.Context(), spec, source)
	require.NoError(t, err)
	defer func() { require.NoError(t, g.Driver.DeleteVolume(t.Context(), g.Pool, spec.Name)) }()
	require.EqualValues(t, 1<<20, made.CapacityBytes)
	_, err = g.Driver.CloneVolume(t.Context(), spec, source)
	require.ErrorIs(t, err, hypervisor.ErrExists)
}

func (g Target) resize(t *testing.T) {
	g.need(t, Resize)
	for _, format := range []string{"raw", "qcow2"} {
		v := g.volume(t, hypervisor.VolumeSpec{Name: "contract-size." + format, Format: format, CapacityBytes: 1 << 20})
		for range 2 {
			require.NoError(t, g.Driver.ResizeVolume(t.Context(), g.Pool, v.Name, 3<<20))
		}
		require.Error(t, g.Driver.ResizeVolume(t.Context(), g.Pool, v.Name, 2<<20))
		found, err := g.Driver.Volume(t.Context(), g.Pool, v.Name)
		require.NoError(t, err)
		require.EqualValues(t, 3<<20, found.CapacityBytes)
	}
	require.ErrorIs(t, g.Driver.ResizeVolume(t.Context(), g.Pool, "no-such", 1<<20), hypervisor.ErrNotFound)
}

func (g Target) download(t *testing.T) {
	g.need(t, Upload)
	content := strings.Repeat("novacron", 100_000)
	v := g.volume(t, hypervisor.VolumeSpec{Name: "contract-down.raw", Format: "raw", CapacityBytes: uint64(len(content))})
	require.NoError(t, g.Driver.UploadVolume(t.Context(), g.Pool, v.Name, strings.NewReader(content), int64(len(content))))
	var got bytes.Buffer
	require.NoError(t, g.Driver.DownloadVolume(t.Context(), g.Pool, v.Name, &got))
	require.Equal(t, content, got.String())
	require.ErrorIs(t, g.Driver.DownloadVolume(t.Context(), g.Pool, "no-such", &got), hypervisor.ErrNotFound)
}

func (g Target) pools(t *testing.T) {
	spec := hypervisor.PoolSpec{Name: "contract-pool", Type: hypervisor.PoolDir, Path: filepath.Join(cmp.Or(g.Folder, t.TempDir()), "pool")}
	text, err := spec.XML()
	require.NoError(t, err)
	require.NoError(t, g.Driver.CreatePool(t.Context(), spec, text))
	require.ErrorIs(t, g.Driver.CreatePool(t.Context(), spec, text), hypervisor.ErrExists)
	names, err := g.Driver.VolumeNames(t.Context(), spec.Name)
	require.NoError(t, err)
	require.Empty(t, names)
	facts, err := g.Driver.Facts(t.Context())
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(facts.Pools, func(p hypervisor.PoolFacts) bool {
		return p.Name == spec.Name && p.Type == spec.Type && p.Path == spec.Path
	}), "%+v", facts.Pools)
	require.NoError(t, g.Driver.DeletePool(t.Context(), spec.Name))
	require.ErrorIs(t, g.Driver.DeletePool(t.Context(), spec.Name), hypervisor.ErrNotFound)
}
