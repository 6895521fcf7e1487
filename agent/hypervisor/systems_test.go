package hypervisor_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/ostype"
)

// minimaOf is a tree of osinfo-db in which Debian 12 needs a gibibyte.
const minimaOf = `<libosinfo><os><short-id>debian12</short-id><version>12</version>
<resources arch="all"><minimum><ram>1073741824</ram></minimum></resources></os></libosinfo>`

func debian(version string, memoryMB int) *vm.Definition {
	def := vm.Normalise(vm.Definition{Name: "deb", UUID: uuid.NewString(), CPUs: 1, MemoryMB: memoryMB, OSType: "debian", OSVersion: version}, vm.Defaults{})
	return &def
}

// managerWith is a manager whose host has that osinfo-db; nil is the machine's own. It logs to the buffer.
func managerWith(t *testing.T, tree fstest.MapFS, log *bytes.Buffer) *hypervisor.Manager {
	t.Helper()
	dir := t.TempDir()
	driver, err := fake.New(fake.Options{Dir: dir})
	require.NoError(t, err)
	config := hypervisor.Config{Driver: driver, ClusterID: testCluster, JournalDir: filepath.Join(dir, "journal"), Logger: slog.New(slog.NewTextHandler(log, nil))}
	if tree != nil {
		config.OSInfo = tree
	}
	m, err := hypervisor.New(config)
	require.NoError(t, err)
	return m
}

func TestWarningsFollowTheHostsOSInfo(t *testing.T) {
	def := debian("12", 768)
	for name, c := range map[string]struct {
		tree fstest.MapFS
		want int
	}{"without": {fstest.MapFS{}, 0}, "with": {fstest.MapFS{"debian.org/debian-12.xml": {Data: []byte(minimaOf)}}, 1}} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			m := managerWith(t, c.tree, &log)
			warnings, err := m.Warnings(t.Context(), def)
			require.NoError(t, err)
			require.Len(t, warnings, c.want)
			_, err = m.Create(t.Context(), hypervisor.CreateSpec{Definition: def, Owner: hypervisor.Owner{ClusterID: testCluster}})
			require.NoError(t, err)
			require.Equal(t, c.want, bytes.Count(log.Bytes(), []byte("at least 1024 MiB for debian 12")), "a create tells it to the log: %s", log.String())
		})
	}
}

// TestWarningsReadTheOSInfoOfThisMachine: Debian 9 is in no table of ours.
func TestWarningsReadTheOSInfoOfThisMachine(t *testing.T) {
	if _, err := os.Stat(ostype.OSInfoDir); err != nil {
		t.Skipf("osinfo-db is not installed; deploy/setup.sh --lab does it: %v", err)
	}
	def := debian("9", 32)
	unknown := vm.Warn(*def, ostype.Builtin())
	require.Equal(t, "osVersion", unknown[0].Path)
	warnings, err := managerWith(t, nil, &bytes.Buffer{}).Warnings(t.Context(), def)
	require.NoError(t, err)
	require.Equal(t, "memoryMB", warnings[0].Path)
	require.Contains(t, warnings[0].Limit, "debian 9")
}
