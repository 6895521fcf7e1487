package pki

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMaterialRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	ca := mustCA(t, testCluster)
	_, err := LoadMaterial(dir)
	require.ErrorIs(t, err, ErrBadMaterial)
	_, err = LoadCA(dir)
	require.ErrorIs(t, err, ErrBadMaterial)

	require.NoError(t, ca.Save(dir))
	m := issue(t, ca, RoleController, "n1", 0, time.Now())
	m.CAKeyPEM = ca.KeyPEM()
	require.NoError(t, SaveMaterial(dir, m))
	got, err := LoadMaterial(dir)
	require.NoError(t, err)
	require.Equal(t, m, got)
	again, err := LoadCA(dir)
	require.NoError(t, err)
	require.Equal(t, ca.Fingerprint(), again.Fingerprint())
	_, err = got.CA()
	require.NoError(t, err)

	require.NoError(t, ca.Save(dir), "saving the CA keeps the node's files")
	_, err = LoadMaterial(dir)
	require.NoError(t, err)

	old := issue(t, ca, RoleAgent, "n1", time.Minute, time.Now().Add(-time.Hour))
	require.NoError(t, SaveMaterial(dir, old))
	got, err = LoadMaterial(dir)
	require.NoError(t, err, "expired material still loads")
	require.Nil(t, got.CAKeyPEM, "a former controller keeps no CA key")
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, SaveMaterial(dir, issue(t, mustCA(t, testCluster), RoleAgent, "n1", 0, time.Now())))
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		if info.Mode()&os.ModeSymlink == 0 {
			require.Zero(t, info.Mode().Perm()&0o077, path)
		}
		return nil
	}))
}

// A crash before any durable step leaves the old material or the new one, and the next save works.
func TestTornWriteLeavesOldOrNew(t *testing.T) {
	ca := mustCA(t, testCluster)
	crash := errors.New("power lost")
	for at := 0; ; at++ {
		dir := t.TempDir()
		old, next := issue(t, ca, RoleAgent, "n1", 0, time.Now()), issue(t, ca, RoleAgent, "n1", 0, time.Now())
		require.NoError(t, SaveMaterial(dir, old))
		steps := 0
		s := newSwapper(dir)
		s.step = func(string) error {
			if steps++; steps > at {
				return crash
			}
			return nil
		}
		err := s.swap(next.files())
		got, loadErr := LoadMaterial(dir)
		require.NoError(t, loadErr)
		require.Contains(t, []string{string(old.CertPEM), string(next.CertPEM)}, string(got.CertPEM))
		require.NoError(t, SaveMaterial(dir, next))
		entries, readErr := os.ReadDir(dir)
		require.NoError(t, readErr)
		require.Len(t, entries, 2, "one generation and the link")
		if err == nil {
			require.Greater(t, steps, 5)
			return
		}
		require.ErrorIs(t, err, crash)
	}
}

func TestMaterialThatDoesNotFitIsRefused(t *testing.T) {
	ca, other := mustCA(t, testCluster), mustCA(t, testCluster)
	a, b := issue(t, ca, RoleAgent, "a", 0, time.Now()), issue(t, ca, RoleAgent, "b", 0, time.Now())
	for name, alter := range map[string]func(*Material){
		"key of another":     func(m *Material) { m.KeyPEM = b.KeyPEM },
		"CA of another":      func(m *Material) { m.CAPEM = other.CertPEM() },
		"CA key of another":  func(m *Material) { m.CAKeyPEM = other.KeyPEM() },
		"leaf as CA":         func(m *Material) { m.CAPEM = m.CertPEM },
		"identity":           func(m *Material) { m.NodeID = "b" },
		"short gossip key":   func(m *Material) { m.GossipKey = []byte("short") },
		"no certificate":     func(m *Material) { m.CertPEM = nil },
		"truncated key":      func(m *Material) { m.KeyPEM = m.KeyPEM[:100] },
		"truncated CA":       func(m *Material) { m.CAPEM = m.CAPEM[:100] },
		"certificate is key": func(m *Material) { m.CertPEM = m.KeyPEM },
	} {
		m := a
		alter(&m)
		require.ErrorIs(t, SaveMaterial(t.TempDir(), m), ErrBadMaterial, name)
		_, err := NewCredentials(m, Options{})
		require.ErrorIs(t, err, ErrBadMaterial, name)
	}
}

func TestCorruptDirectoryIsACleanError(t *testing.T) {
	ca := mustCA(t, testCluster)
	for _, file := range []string{FileCA, FileNode, FileNodeKey, FileGossipKey} {
		dir := t.TempDir()
		require.NoError(t, SaveMaterial(dir, issue(t, ca, RoleAgent, "a", 0, time.Now())))
		path := filepath.Join(dir, currentLink, file)
		require.NoError(t, os.Truncate(path, 10))
		_, err := LoadMaterial(dir)
		require.ErrorIs(t, err, ErrBadMaterial, file)
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Symlink("/dev/zero", path))
		_, err = LoadMaterial(dir)
		require.ErrorIs(t, err, ErrBadMaterial, file)
	}
}
