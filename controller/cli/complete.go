package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completionTimeout is short: nobody waits longer for a key press.
const completionTimeout = 500 * time.Millisecond

// names lists what a word may be completed to; errors just mean that nothing is offered.
type names func(ctx context.Context) ([]string, error)

// completeOnce completes the first argument.
func (a *app) completeOnce(list names) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.offer(cmd, list, nil)
	}
}

// completeMany completes every argument to a name that is not there yet.
func (a *app) completeMany(list names) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.offer(cmd, list, args)
	}
}

// completeFlag completes a flag's value.
func (a *app) completeFlag(cmd *cobra.Command, flag string, list names) {
	_ = cmd.RegisterFlagCompletionFunc(flag, a.completeMany(list)) // fails for a flag that does not exist
}

// completeFileAt completes the argument at a position to a file.
func completeFileAt(position int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == position {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) offer(cmd *cobra.Command, list names, taken []string) ([]string, cobra.ShellCompDirective) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, a.completionTimeout)
	defer cancel()
	a.timeout = a.completionTimeout
	a.consistency.value = "stale"
	found, err := list(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found = slices.DeleteFunc(found, func(name string) bool { return slices.Contains(taken, name) })
	slices.Sort(found)
	return found, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) contextNames(context.Context) ([]string, error) {
	_, cfg, err := a.loadConfig()
	return cfg.names(), err
}

func (a *app) vmNames(ctx context.Context) ([]string, error) {
	return liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.VM, error) {
		return c.listVMs(ctx, &pb.ListVMsRequest{Project: a.project})
	}, func(v *pb.VM) string { return v.GetSpec().GetName() })
}

func (a *app) hostNames(ctx context.Context) ([]string, error) {
	return liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.Host, error) { return c.listHosts(ctx) }, (*pb.Host).GetName)
}

func (a *app) imageNames(ctx context.Context) ([]string, error) {
	return liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.Image, error) { return c.listImages(ctx) }, (*pb.Image).GetName)
}

func (a *app) poolNames(ctx context.Context) ([]string, error) {
	found, err := liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.Pool, error) {
		answer, err := c.storage.ListPools(ctx, connect.NewRequest(&pb.ListPoolsRequest{}))
		if err != nil {
			return nil, err
		}
		return answer.Msg.GetPools(), nil
	}, (*pb.Pool).GetName)
	slices.Sort(found) // each host has its own
	return slices.Compact(found), err
}

// usableNetworks are those of the cluster and those that hosts have by themselves.
func (a *app) usableNetworks(ctx context.Context) ([]string, error) {
	found, err := a.networkNames(ctx)
	if err != nil {
		return nil, err
	}
	hosts, err := liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.Host, error) { return c.listHosts(ctx) },
		func(h *pb.Host) string { return strings.Join(h.GetInfo().GetNetworks(), " ") })
	for _, names := range hosts {
		found = append(found, strings.Fields(names)...)
	}
	slices.Sort(found)
	return slices.Compact(found), err
}

func (a *app) memberNames(ctx context.Context) ([]string, error) { return a.membersNamed(ctx, false) }

func (a *app) controllerNames(ctx context.Context) ([]string, error) {
	return a.membersNamed(ctx, true)
}

func (a *app) membersNamed(ctx context.Context, controllersOnly bool) ([]string, error) {
	return liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.MemberStatus, error) {
		members, err := c.listMembers(ctx)
		return slices.DeleteFunc(members, func(m *pb.MemberStatus) bool {
			return controllersOnly && m.GetMember().GetRole() != pb.Role_ROLE_CONTROLLER
		}), err
	}, func(m *pb.MemberStatus) string { return m.GetMember().GetName() })
}

func (a *app) tokenIDs(ctx context.Context) ([]string, error) {
	return liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.Token, error) {
		answer, err := c.cluster.ListTokens(ctx, connect.NewRequest(&pb.ListTokensRequest{}))
		if err != nil {
			return nil, err
		}
		return answer.Msg.GetTokens(), nil
	}, (*pb.Token).GetId)
}

// liveNames asks the cluster.
func liveNames[T any](ctx context.Context, a *app, list func(context.Context, *client) ([]T, error), name func(T) string) ([]string, error) {
	c, err := a.dial()
	if err != nil {
		return nil, err
	}
	defer c.close()
	items, err := list(ctx, c)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = name(item)
	}
	return out, nil
}

// completeGlobals offers values for the global flags; the nouns share them with the root.
func (a *app) completeGlobals(root *cobra.Command) { a.completeFlag(root, "context", a.contextNames) }

// completeChoices offers the words of every flag that takes one of a few.
func completeChoices(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
		if words, is := flag.Value.(*choice); is {
			// Flags that a command shares with those above it have theirs from the first.
			_ = cmd.RegisterFlagCompletionFunc(flag.Name, cobra.FixedCompletions(words.allowed, cobra.ShellCompDirectiveNoFileComp))
		}
	})
	for _, child := range cmd.Commands() {
		completeChoices(child)
	}
}

// describeCompletion puts cobra's command for the shells into our words, and has it refuse shells that it does not know.
func describeCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	cmd, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	cmd.Short = "Print what completes commands in a shell"
	cmd.Long = `Print a script with which the Tab key completes commands, flags and the names of machines, hosts, images and other things.

  novacron completion bash > /etc/bash_completion.d/novacron
  source <(novacron completion bash)`
	cmd.Args, cmd.RunE = nil, needCommand
	for shell, to := range map[string]string{
		"bash": "> /etc/bash_completion.d/novacron", "zsh": `> "${fpath[1]}/_novacron"`,
		"fish": "> ~/.config/fish/completions/novacron.fish", "powershell": "| Out-String | Invoke-Expression",
	} {
		if child, _, err := cmd.Find([]string{shell}); err == nil {
			child.Short = "Print the script for " + shell
			child.Long = fmt.Sprintf("Print the script that completes commands in %s; new shells read it from there.\n\n  novacron completion %s %s", shell, shell, to)
		}
	}
}

// completeDefinition offers values for the flags of a definition that name something of the cluster.
func (a *app) completeDefinition(cmd *cobra.Command) {
	a.completeFlag(cmd, "host", a.hostNames)
	for _, flag := range []string{"image", "kernel", "initrd"} {
		a.completeFlag(cmd, flag, a.imageNames)
	}
	a.completeFlag(cmd, "network", a.usableNetworks)
	a.completeFlag(cmd, "pool", a.poolNames)
	_ = cmd.RegisterFlagCompletionFunc("firmware", cobra.FixedCompletions([]string{vm.FirmwareBIOS, vm.FirmwareUEFI}, cobra.ShellCompDirectiveNoFileComp))
}
