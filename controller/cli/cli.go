// Package cli holds the commands with which people and scripts drive a NovaCron cluster.
package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	rootName       = "novacron"
	defaultTimeout = 30 * time.Second
	defaultProject = "default"
)

// app is what every command shares: the outside world and the global flags.
type app struct {
	io IO

	config      string
	context     string
	endpoints   []string
	timeout     time.Duration
	consistency choice
	output      choice
	project     string
	noHeaders   bool

	// completionTimeout bounds what a key press may cost.
	completionTimeout time.Duration
}

// New makes the command `novacron` with every client command and the extra ones, which the global client flags leave
// alone. Errors of the command go to PrintError and ExitCode; it prints none itself.
func New(io IO, extra ...*cobra.Command) *cobra.Command {
	return newApp(io.withDefaults()).root(extra)
}

func (a *app) root(extra []*cobra.Command) *cobra.Command {
	root := a.group(rootName, "Run virtual machines on a cluster of Linux hosts", `NovaCron turns Linux hosts with KVM into one cluster that runs virtual machines.

  novacron controller     on three or five machines, novacron agent on every hypervisor
  novacron vm create web-1 --cpus 2 --memory 2GiB --disk 20GiB --image debian-12
  novacron vm list -o wide

Exit status: 0 done, 1 failed, 2 bad usage, 3 accepted but not yet placed.`)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.TraverseChildren = true
	root.SetIn(a.io.In)
	root.SetOut(a.io.Out)
	root.SetErr(a.io.Err)
	root.SetFlagErrorFunc(flagError)

	flags := a.flags()
	root.Flags().AddFlagSet(flags)
	for _, noun := range a.nouns() {
		noun.PersistentFlags().AddFlagSet(flags)
		root.AddCommand(noun)
	}
	root.AddCommand(extra...)
	a.completeGlobals(root)
	completeChoices(root)
	describeCompletion(root)
	markUsage(root)
	return root
}

func newApp(io IO) *app {
	return &app{
		io: io, completionTimeout: completionTimeout,
		consistency: choice{allowed: []string{"linearizable", "leader", "stale"}},
		output:      choice{value: outTable, allowed: []string{outTable, outWide, outJSON, outYAML, outCSV}},
	}
}

func (a *app) nouns() []*cobra.Command {
	return []*cobra.Command{
		a.clusterCommand(), a.hostCommand(), a.imageCommand(), a.networkCommand(), a.securityGroupCommand(), a.vmCommand(), a.volumeCommand(), a.poolCommand(),
		a.eventCommand(), a.metricCommand(), a.testCommand(), a.configCommand(), a.versionCommand(),
	}
}

// flags are the global ones. Nouns share them by pointer, so that they may stand before or after the noun.
func (a *app) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("global", pflag.ContinueOnError)
	f.StringVar(&a.config, "config", "", "client configuration `file` (default $NOVACRON_CONFIG or ~/.config/novacron/config.yaml)")
	f.StringVar(&a.context, "context", "", "`name` of the context to use (default $NOVACRON_CONTEXT or the current one)")
	f.StringSliceVar(&a.endpoints, "endpoint", nil, "controllers to call, `host:port`, instead of those of the context")
	spanVar(f, &a.timeout, "timeout", defaultTimeout, "how long a call may take, its retries included").above = true
	f.Var(&a.consistency, "consistency", "how fresh reads must be (default linearizable)")
	f.VarP(&a.output, "output", "o", "output format")
	f.StringVar(&a.project, "project", defaultProject, "`project` that names belong to")
	f.BoolVar(&a.noHeaders, "no-headers", false, "leave out the line of column names")
	return f
}

// group is a command that only holds others.
func (a *app) group(use, short, long string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, RunE: needCommand}
	cmd.AddCommand(children...)
	return cmd
}

// needCommand says which commands there are, and which one was probably meant.
func needCommand(cmd *cobra.Command, args []string) error {
	path := cmd.CommandPath()
	help := fmt.Sprintf("`%s --help` lists the commands", path)
	if len(args) == 0 {
		cmd.SetOut(cmd.ErrOrStderr())
		_ = cmd.Help()
		return usageError{fmt.Errorf("%s needs a command", path), ""}
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		help = fmt.Sprintf("did you mean %s?", strings.Join(near, " or "))
	}
	return usageError{fmt.Errorf("unknown command %q for %s", args[0], path), help}
}

// markUsage makes every complaint about a command's arguments a usage error.
func markUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if check(cmd, args) != nil {
				return wrongArguments(cmd, args)
			}
			return nil
		}
	}
	if cmd.SuggestionsMinimumDistance == 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	for _, child := range cmd.Commands() {
		markUsage(child)
	}
}

// wrongArguments says what a command takes and what it was given.
func wrongArguments(cmd *cobra.Command, args []string) error {
	_, takes, _ := strings.Cut(cmd.Use, " ")
	if takes == "" {
		takes = "no argument"
	}
	given := fmt.Sprintf("%d arguments: %s", len(args), strings.Join(args, " "))
	switch len(args) {
	case 0:
		given = "none"
	case 1:
		given = fmt.Sprintf("%q", args[0])
	}
	return usageError{fmt.Errorf("%s takes %s, and was given %s", cmd.CommandPath(), takes, given), "usage: " + cmd.UseLine()}
}

// withClient runs f with a client of the chosen context.
func (a *app) withClient(f func(ctx context.Context, c *client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.dial()
		if err != nil {
			return err
		}
		defer c.close()
		defer a.remember(c)
		return f(cmd.Context(), c, args)
	}
}
