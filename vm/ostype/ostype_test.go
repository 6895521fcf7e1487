package ostype

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestEveryTypeHasAGenericEntry(t *testing.T) {
	table := Builtin()
	require.Equal(t, []string{
		"linux", "debian", "ubuntu", "rhel", "rocky", "alma", "fedora", "opensuse", "sles", "arch", "alpine", "flatcar",
		"windows", "freebsd", "openbsd", "generic",
	}, table.Types())
	for _, name := range table.Types() {
		s, known := table.Lookup(name, Generic)
		require.True(t, known, name)
		require.Equal(t, name, s.Type)
		for _, version := range table.Versions(name) {
			v, known := table.Lookup(strings.ToUpper(name), version)
			require.True(t, known, "%s %s", name, version)
			require.Equal(t, version, v.Version)
			require.GreaterOrEqual(t, v.MinMemoryMB, 32)
			require.Equal(t, s.VirtioDisk, v.VirtioDisk)
		}
	}
}

func TestUnknownVersionIsTheGenericOne(t *testing.T) {
	table := Builtin()
	s, known := table.Lookup("debian", "99")
	require.False(t, known)
	require.Equal(t, Generic, s.Version)
	require.Equal(t, 256, s.MinMemoryMB)
	s, known = table.Lookup("plan9", "4")
	require.False(t, known)
	require.Equal(t, Generic, s.Type)
}

func TestWindows11NeedsWhatItNeeds(t *testing.T) {
	s, _ := Builtin().Lookup("windows", "11")
	require.True(t, s.UEFI && s.SecureBoot && s.TPM && s.Windows)
	require.False(t, s.VirtioDisk)
}

const debian13 = `<libosinfo version="0.0.1"><os id="http://debian.org/debian/13"><short-id>debian13</short-id><version>13</version><family>linux</family>
<devices><device id="http://pcisig.com/pci/1af4/1001"/><device id="http://pcisig.com/pci/1af4/1041"/></devices>
<resources arch="all"><minimum><n-cpus>1</n-cpus><ram>1073741824</ram><storage>10737418240</storage></minimum></resources></os></libosinfo>`

func TestOSInfoOverridesMinima(t *testing.T) {
	tree := fstest.MapFS{
		"debian.org/debian-13.xml": {Data: []byte(debian13)},
		"debian.org/broken.xml":    {Data: []byte("<libosinfo><os>")},
		"debian.org/notes.txt":     {Data: []byte("<")},
		"microsoft.com/win-2k25.xml": {Data: []byte(`<libosinfo><os><short-id>win2k25</short-id><version>10.0</version>
<resources arch="x86_64"><minimum><ram>2147483648</ram></minimum></resources></os></libosinfo>`)},
	}
	found := ReadOSInfo(tree, "Debian")
	require.Len(t, found, 1)
	table := Builtin().With(append(found, ReadOSInfo(tree, "windows")...))
	s, known := table.Lookup("debian", "13")
	require.True(t, known)
	require.Equal(t, 1024, s.MinMemoryMB)
	require.Equal(t, 10, s.MinDiskGB)
	s, _ = table.Lookup("windows", "2025")
	require.Equal(t, 2048, s.MinMemoryMB)
	require.True(t, s.Windows)
	before, _ := Builtin().Lookup("debian", "13")
	require.Equal(t, 512, before.MinMemoryMB, "the builtin table is not changed")
}

func TestOSInfoThatIsNotThere(t *testing.T) {
	require.Empty(t, ReadOSInfo(os.DirFS(t.TempDir()+"/none"), "debian"))
	require.Empty(t, ReadOSInfo(os.DirFS("/"), "linux"), "which has no folder: nothing else is read")
}

// TestOSInfoOfThisMachine reads the real thing: every type that has a folder there has versions in it by our names.
func TestOSInfoOfThisMachine(t *testing.T) {
	if _, err := os.Stat(OSInfoDir); err != nil {
		t.Skipf("osinfo-db is not installed; deploy/setup.sh --lab does it: %v", err)
	}
	for _, name := range Builtin().Types() {
		found := ReadOSInfo(os.DirFS(OSInfoDir), name)
		require.Equal(t, vendor(name) != "", len(found) > 0, name)
		for _, s := range found {
			require.Equal(t, name, s.Type, "a folder has one type: %s", s.Version)
		}
	}
	s, known := Builtin().With(ReadOSInfo(os.DirFS(OSInfoDir), "debian")).Lookup("debian", "9")
	require.True(t, known, "which the builtin table does not have")
	require.Positive(t, s.MinMemoryMB)
}

func TestOSInfoIsBounded(t *testing.T) {
	_, err := ParseOSInfo(strings.NewReader(strings.Repeat("<a>", 1000)))
	require.ErrorIs(t, err, ErrOSInfo)
	_, err = ParseOSInfo(strings.NewReader(strings.Repeat(" ", maxOSInfoBytes+1)))
	require.ErrorIs(t, err, ErrOSInfo)
}

func FuzzOSInfo(f *testing.F) {
	f.Add(debian13)
	f.Add(`<!DOCTYPE x [<!ENTITY a "b">]><libosinfo><os><short-id>&a;</short-id></os></libosinfo>`)
	f.Fuzz(func(t *testing.T, text string) {
		systems, err := ParseOSInfo(strings.NewReader(text))
		if err != nil {
			require.ErrorIs(t, err, ErrOSInfo)
		}
		for _, s := range systems {
			require.NotEmpty(t, s.Type)
			require.GreaterOrEqual(t, s.MinMemoryMB, 0)
		}
		Builtin().With(systems)
	})
}
