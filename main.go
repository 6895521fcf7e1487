// Command novacron turns Linux hosts with KVM into one cluster that runs virtual machines.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/novacron/novacron/controller/cli"
)

func main() { os.Exit(run()) }

// run is the whole program; only main exits.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	terminal := cli.SystemIO()
	root := cli.New(terminal, controllerCommand(), agentCommand(), devCommand(terminal))
	err := root.ExecuteContext(ctx)
	cli.PrintError(terminal, err)
	return cli.ExitCode(err)
}
