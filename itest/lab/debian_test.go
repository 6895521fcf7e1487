package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSourcesAreDebiansAlone(t *testing.T) {
	lines, suite, err := sourcesIn(strings.Join([]string{
		"Debian deb http://mirror/security bookworm-security main", "Debian deb http://mirror/debian bookworm main",
		"Debian deb http://mirror/debian bookworm main", ". nodistro deb https://deb.example nodistro main", "",
	}, "\n"))
	require.NoError(t, err)
	require.Equal(t, "bookworm", suite)
	require.Equal(t, []string{"deb http://mirror/debian bookworm main", "deb http://mirror/security bookworm-security main"}, lines)
	_, _, err = sourcesIn("Other deb http://mirror x main\n")
	require.ErrorContains(t, err, "Other deb http://mirror x main")
}

func TestADebianIsSettled(t *testing.T) {
	root := t.TempDir()
	key := filepath.Join(root, "etc/ssh/ssh_host_rsa_key")
	for _, dir := range []string{"etc/cloud/cloud.cfg.d", "etc/ssh", "etc/systemd/system"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	require.NoError(t, os.WriteFile(key, []byte("a key that all guests would share"), 0o600))
	require.NoError(t, settle(root))
	require.NoFileExists(t, key)
	config, err := os.ReadFile(filepath.Join(root, "etc/cloud/cloud.cfg.d/90-lab.cfg"))
	require.NoError(t, err)
	require.Contains(t, string(config), "datasource_list: [NoCloud]\n")
	for _, unit := range debianMasks() {
		to, err := os.Readlink(filepath.Join(root, "etc/systemd/system", unit))
		require.NoError(t, err)
		require.Equal(t, "/dev/null", to)
	}
	require.Error(t, settle(t.TempDir()), "nothing to settle in")
}

func TestADebianIsOfThePackagesNamed(t *testing.T) {
	argv := bootstrap("bookworm", "/root", []string{"deb http://mirror bookworm main"})
	require.Equal(t, []string{"bookworm", "/root", "deb http://mirror bookworm main"}, argv[len(argv)-3:])
	require.Contains(t, argv, "--include="+strings.Join(debianPackages(), ","))
	require.Contains(t, argv, "--dpkgopt=path-exclude=/usr/share/doc/*")
}
