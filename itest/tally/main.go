// Command tally runs «go test» once or several times, shows what failed and what was skipped, and ends with one line of counts.
//
// Usage: tally GO-TEST-ARGUMENT... [-- GO-TEST-ARGUMENT...] [++ GO-TEST-ARGUMENT... [-- GO-TEST-ARGUMENT...]]
//
// Groups with «--» between them follow one another. A row of them after «++» runs beside those before it, with the time of
// the processors that these leave. A group that begins with -C DIRECTORY runs in the module there.
package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"sync"
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
	t, rows := newTally(out), split(args, "++")
	fine := make([]bool, len(rows))
	var running sync.WaitGroup
	for i, row := range rows {
		running.Go(func() { fine[i] = runRow(ctx, split(row, "--"), i > 0, t) })
	}
	running.Wait()
	t.close()
	return !slices.Contains(fine, false) && !t.failedPackages() && ctx.Err() == nil
}

// runRow runs groups one after the other. A group that fails although all of its packages pass, as where go cannot start, is
// told at once.
func runRow(ctx context.Context, groups [][]string, beside bool, t *tally) bool {
	fine := true
	for _, group := range groups {
		if broken, err := goTest(ctx, group, beside, t); err != nil && !broken {
			t.say("go test %v: %v\n", group, err)
			fine = false
		}
	}
	return fine
}

// besideNice is the niceness of what runs beside: a fifth of a processor where others want all of it, so that nothing
// there comes to a stand.
const besideNice = "6"

// goTest runs a group, and tells whether a package of it failed.
func goTest(ctx context.Context, args []string, beside bool, t *tally) (broken bool, err error) {
	argv := append([]string{"go"}, command(args)...)
	if beside {
		argv = append([]string{"nice", "-n", besideNice}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go passes it on to the tests
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	if broken, err = t.read(events); err != nil {
		return broken, err
	}
	return broken, cmd.Wait()
}

// command is what go is called with. It takes -C DIRECTORY, for another module, only before all else.
func command(args []string) []string {
	at := 0
	if len(args) >= 2 && args[0] == "-C" {
		at = 2
	}
	return slices.Concat([]string{"test"}, args[:at], []string{"-json"}, args[at:])
}

// split cuts the arguments at a mark.
func split(args []string, mark string) [][]string {
	parts := [][]string{nil}
	for _, arg := range args {
		if arg == mark {
			parts = append(parts, nil)
			continue
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], arg)
	}
	return parts
}
