package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func TestExitCode(t *testing.T) {
	unplaced := &fault{what: "x", unplaced: true}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {errors.New("x"), 1}, {usagef("x"), 2}, {unplaced, 3}, {several{unplaced, unplaced}, 3},
		{several{unplaced, errors.New("x")}, 1}, {both(unplaced, nil), 3}, {both(usagef("x"), usagef("y")), 2},
	} {
		require.Equal(t, c.want, ExitCode(c.err), "%v", c.err)
	}
}

func TestPrintError(t *testing.T) {
	var out bytes.Buffer
	denied := connect.NewError(connect.CodePermissionDenied, errors.New("viewers may not delete\nneeded: admin"))
	PrintError(IO{Err: &out}, both(named([]string{"a", "b"}, "a", denied), context.Canceled))
	PrintError(IO{Err: &out}, nil)
	require.Equal(t, `error: a: viewers may not delete
  needed: admin
  hint: the role of this context's certificate does not allow that; `+"`novacron config show`"+` tells the role
error: interrupted
`, out.String())
}

func TestExtraCommandsKeepTheirFlags(t *testing.T) {
	var config string
	extra := &cobra.Command{Use: "agent", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return nil }}
	extra.Flags().StringVar(&config, "config", "", "")
	root := New(IO{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}, extra)
	root.SetArgs([]string{"agent", "--config", "x"})
	require.NoError(t, root.Execute())
	require.Equal(t, "x", config)
	for _, args := range [][]string{{"agent", "--endpoint", "x"}, {"agent", "x"}} {
		root.SetArgs(args)
		require.Equal(t, exitUsage, ExitCode(root.Execute()))
	}
}
