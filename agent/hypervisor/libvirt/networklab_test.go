//go:build cgo && libvirt_dlopen

package libvirt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGoldenNetworksOnLibvirt gives every golden file of networks and filters to a real libvirt.
func TestGoldenNetworksOnLibvirt(t *testing.T) {
	host, _ := labHost(t)
	d := openHost(t, host, Options{})
	files, err := filepath.Glob(filepath.Join("..", "testdata", "network", "*.xml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, rest, _ := strings.Cut(string(text), "<uuid>")
		id, _, _ := strings.Cut(rest, "</uuid>")
		if strings.HasPrefix(filepath.Base(file), "filter-") {
			require.NoError(t, d.DefineFilter(t.Context(), string(text)), file)
			require.NoError(t, d.RemoveFilter(t.Context(), id), file)
			continue
		}
		require.NoError(t, d.DefineNetwork(t.Context(), string(text)), file)
		if !strings.Contains(file, "bridge") { // the lab has no br0
			require.NoError(t, d.StartNetwork(t.Context(), id), file)
		}
		require.NoError(t, d.RemoveNetwork(t.Context(), id), file)
	}
}
