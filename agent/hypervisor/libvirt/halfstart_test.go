package libvirt

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/novacron/novacron/agent/hypervisor"
)

const someID = "6f1c2d3e-4b5a-4678-9abc-def012345601"

// status is one as libvirt writes it, in short; the number of a process in the definition is no process of the guest.
func status(process, namespace string) string {
	return "<!--\nWARNING\n-->\n\n<domstatus state='paused' reason='starting up' " + process + ">\n  <job type='none' async='start'/>\n" +
		"  <domain type='qemu'><uuid>" + someID + "</uuid><metadata><x xmlns:x='" + namespace + "'/><y pid='0'/></metadata></domain>\n</domstatus>\n"
}

// statusIn makes a folder with a status from a minute ago, and a daemon that began that long after it, if one runs.
func statusIn(t *testing.T, content string, runs bool, later time.Duration) (statusDir, string) {
	t.Helper()
	dir := t.TempDir()
	file, lock := filepath.Join(dir, "web-1.xml"), filepath.Join(dir, "driver.pid")
	written := time.Now().Add(-time.Minute)
	for path, text := range map[string]string{file: content, lock: "77"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	require.NoError(t, os.Chtimes(file, written, written))
	require.NoError(t, os.Chtimes(lock, written.Add(later), written.Add(later)))
	if runs {
		held, err := os.OpenFile(lock, os.O_RDWR, 0)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, held.Close()) })
		require.NoError(t, unix.FcntlFlock(held.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
	}
	return statusDir(dir), file
}

func TestAStartThatDiedWithItsDaemonIsMended(t *testing.T) {
	ours, foreign := hypervisor.MetadataNamespace, "urn:somebody-else"
	cases := map[string]struct {
		process, namespace string
		runs               bool
		later              time.Duration
		mended             bool
	}{
		"no daemon runs":                          {noProcess, ours, false, -time.Second, true},
		"a later daemon runs":                     {noProcess, ours, true, time.Second, true},
		"the start is under way":                  {noProcess, ours, true, -time.Second, false},
		"the guest has a process":                 {"pid='4711'", ours, false, time.Second, false},
		"the guest is not ours":                   {noProcess, foreign, false, time.Second, false},
		"it is mended already and no daemon runs": {goneProcess, ours, false, time.Second, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir, file := statusIn(t, status(c.process, c.namespace), c.runs, c.later)
			mended, err := dir.mend()
			require.NoError(t, err)
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			if !c.mended {
				require.Empty(t, mended)
				require.Equal(t, status(c.process, c.namespace), string(text))
				return
			}
			require.Equal(t, []string{"web-1"}, mended)
			require.Equal(t, status(goneProcess, ours), string(text))
			files, err := os.ReadDir(string(dir))
			require.NoError(t, err)
			require.Len(t, files, 2, "nothing else is left")
		})
	}
}

func TestAnAbandonedStartIsTold(t *testing.T) {
	cases := map[string]struct {
		process string
		runs    bool
		later   time.Duration
		want    bool
	}{
		"of an earlier daemon":              {noProcess, true, time.Second, true},
		"mended while the daemon runs":      {goneProcess, true, -time.Second, true},
		"mended before the daemon began":    {goneProcess, true, time.Second, false},
		"the start is under way":            {noProcess, true, -time.Second, false},
		"no daemon runs, so none holds it":  {noProcess, false, time.Second, false},
		"the guest has a process and is up": {"pid='4711'", true, time.Second, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir, _ := statusIn(t, status(c.process, hypervisor.MetadataNamespace), c.runs, c.later)
			require.Equal(t, c.want, dir.abandoned(someID, "web-1"))
			require.False(t, dir.abandoned("00000000-4b5a-4678-9abc-def012345601", "web-1"), "another machine of that name")
			require.False(t, dir.abandoned(someID, "web-2"))
		})
	}
}

func TestWithoutAStatusNothingIsMended(t *testing.T) {
	for _, dir := range []statusDir{"", statusDir(filepath.Join(t.TempDir(), "none"))} {
		mended, err := dir.mend()
		require.NoError(t, err)
		require.Empty(t, mended)
		require.False(t, dir.abandoned(someID, "web-1"))
	}
}
