// Command novacron turns Linux hosts with KVM into one cluster that runs virtual machines.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/novacron/novacron/controller/cli"
)

func main() { os.Exit(run()) }

// run is the whole program; only main exits.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	terminal := terminalIO()
	root := cli.New(terminal, controllerCommand(), agentCommand(), devCommand(terminal))
	err := root.ExecuteContext(ctx)
	cli.PrintError(terminal, err)
	return cli.ExitCode(err)
}

func terminalIO() cli.IO {
	home, _ := os.UserHomeDir() // without one, the configuration's path must be given
	return cli.IO{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Home: home, Env: os.Getenv,
		InTTY: isTerminal(os.Stdin), OutTTY: isTerminal(os.Stdout), ErrTTY: isTerminal(os.Stderr),
		Width: func() int {
			width, _, err := term.GetSize(int(os.Stderr.Fd()))
			if err != nil {
				return 0
			}
			return width
		},
	}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
