package env

import (
	"bytes"
	"context"
	"strings"

	"github.com/novacron/novacron/controller/cli"
)

// Shell runs command lines as the first administrator, in this process.
type Shell struct {
	// Home holds the client's configuration.
	Home string
}

// NewShell makes a shell whose home is an empty folder. Its configuration knows the cluster's controllers.
func (c *Cluster) NewShell(home string) (*Shell, error) {
	path, err := cli.ConfigPath(cli.IO{Home: home})
	if err != nil {
		return nil, err
	}
	return &Shell{home}, cli.SaveContext(path, cli.NewContext("test", c.Addresses(), c.admin))
}

// Run gives the exit status of «novacron ARGS…» and all that the user reads.
func (s *Shell) Run(ctx context.Context, args ...string) (code int, says string) {
	var out, errs bytes.Buffer
	terminal := cli.IO{In: strings.NewReader(""), Out: &out, Err: &errs, Home: s.Home}
	root := cli.New(terminal)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	cli.PrintError(terminal, err)
	return cli.ExitCode(err), out.String() + errs.String()
}
