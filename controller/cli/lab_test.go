package cli

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// inLab runs one command line with a lab's folder in the environment.
func inLab(t *testing.T, dir string, args ...string) (out, errs string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	s := IO{In: &bytes.Buffer{}, Out: &stdout, Err: &stderr, Env: func(name string) string {
		if name == "NOVACRON_LAB" {
			return dir
		}
		return ""
	}}
	root := New(s)
	root.SetArgs(append([]string{"test", "lab"}, args...))
	err := root.ExecuteContext(t.Context())
	PrintError(s, err)
	return stdout.String(), stderr.String(), ExitCode(err)
}

func TestLabThatIsNotThere(t *testing.T) {
	_, errs, code := inLab(t, "", "list")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--dir or NOVACRON_LAB is needed")
	dir := filepath.Join(t.TempDir(), "lab")
	for _, args := range [][]string{{"list"}, {"exec", "h1", "--", "true"}, {"crash", "h1"}, {"boot", "h1"}, {"partition", "h1"}} {
		out, errs, code := inLab(t, dir, args...)
		require.Equal(t, exitFailed, code, args)
		require.Empty(t, out)
		require.Contains(t, errs, "novacron test lab up --dir "+dir)
	}
	_, _, code = inLab(t, dir, "down")
	require.Equal(t, exitDone, code, "taking nothing away is fine")
	require.NoDirExists(t, dir)
}

func TestLabExecNeedsAProgram(t *testing.T) {
	_, errs, code := inLab(t, t.TempDir(), "exec", "h1")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "test lab exec HOST -- COMMAND")
}
