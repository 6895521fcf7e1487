// Command tally runs «go test» once or several times, shows what failed and what was skipped, and ends with one line of counts.
//
// Usage: tally GO-TEST-ARGUMENT... [-- GO-TEST-ARGUMENT...]
//
// A group that begins with -C DIRECTORY runs in the module there.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if !run(ctx, os.Args[1:], os.Stdout) {
		os.Exit(1)
	}
}

// run tells whether every test of every run passed.
func run(ctx context.Context, args []string, out io.Writer) bool {
	t, fine := newTally(out), true
	for _, group := range split(args) {
		if err := goTest(ctx, group, t); err != nil && !t.failedPackages() {
			fmt.Fprintf(out, "go test %v: %v\n", group, err)
			fine = false
		}
	}
	t.close()
	return fine && !t.failedPackages() && ctx.Err() == nil
}

func goTest(ctx context.Context, args []string, t *tally) error {
	cmd := exec.CommandContext(ctx, "go", command(args)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go passes it on to the tests
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := t.read(events); err != nil {
		return err
	}
	return cmd.Wait()
}

// command is what go is called with. It takes -C DIRECTORY, for another module, only before all else.
func command(args []string) []string {
	at := 0
	if len(args) >= 2 && args[0] == "-C" {
		at = 2
	}
	return slices.Concat([]string{"test"}, args[:at], []string{"-json"}, args[at:])
}

// split cuts the arguments at «--».
func split(args []string) [][]string {
	groups := [][]string{nil}
	for _, arg := range args {
		if arg == "--" {
			groups = append(groups, nil)
			continue
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], arg)
	}
	return groups
}
