package cli

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// TestScripts runs the scripts of testdata. Besides testscript's own commands they have
//
//	novacron ARGS...       run the command line; env STDIN=FILE gives it an input, env TTY=1 terminals,
//	                       env INTERRUPT=TEXT interrupts it when it has written that
//	exits STATUS ARGS...   the same, ending with that status
//	cluster FAULT N        the cluster shows a fault N times: unavailable, lose-answer, cut-watch, forget, not-running
//	consistency WORD       the cluster's last call had to be that fresh
//	typed TEXT             the console got that text
//	restored TEXT          the cluster was restored to that
//	damage SHARD           a byte of each block's samples is another
//
// and the variables DOWN and AGENT, endpoints of a dead controller and of an agent, and UP, that of the fake cluster.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup:         func(env *testscript.Env) error { return setup(t, env) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"novacron": cmdNovacron, "exits": cmdExits, "cluster": cmdCluster, "consistency": cmdConsistency,
			"typed": cmdTyped, "restored": cmdRestored, "damage": cmdDamage,
		},
	})
}

type fakeKey struct{}

func setup(t *testing.T, env *testscript.Env) error {
	ca := newAuthority(t)
	f := startFake(t, ca, pki.RoleController)
	agent := startFake(t, ca, pki.RoleAgent)
	path := filepath.Join(env.WorkDir, "config.yaml")
	env.Values[fakeKey{}] = f
	env.Setenv("NOVACRON_CONFIG", path)
	env.Setenv("UP", f.address)
	env.Setenv("DOWN", deadAddress(t))
	env.Setenv("AGENT", agent.address)
	return SaveContext(path, NewContext("lab", []string{f.address}, ca.material("root", pki.RoleAdmin)))
}

// deadAddress is one that refuses connections.
func deadAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func cmdNovacron(ts *testscript.TestScript, neg bool, args []string) {
	if code := runNovacron(ts, args); (code != 0) != neg {
		ts.Fatalf("exit status %d", code)
	}
}

// cmdDamage turns a byte of the chunks of every block of a metric shard.
func cmdDamage(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "blocks", "*", "chunks*"))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("%s has no block", args[0])
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		ts.Check(err)
		text[len(text)/2] ^= 0x40
		ts.Check(os.WriteFile(name, text, 0o600))
	}
}

func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	if code := runNovacron(ts, args[1:]); args[0] != strconv.Itoa(code) {
		ts.Fatalf("exit status %d", code)
	}
}

func runNovacron(ts *testscript.TestScript, args []string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // a busy machine proves nothing
	defer cancel()
	s := scriptIO(ts)
	if text := ts.Getenv("INTERRUPT"); text != "" {
		s.Out = &trigger{Writer: s.Out, until: newFinder(text), pull: cancel}
		s.Err = &trigger{Writer: s.Err, until: newFinder(text), pull: cancel}
	}
	a := newApp(s.withDefaults())
	a.completionTimeout = time.Minute
	if short, err := time.ParseDuration(ts.Getenv("COMPLETION")); err == nil {
		a.completionTimeout = short
	}
	root := a.root(nil)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	PrintError(s, err)
	return ExitCode(err)
}

// trigger interrupts a command that has written a text.
type trigger struct {
	io.Writer
	until *finder
	pull  func()
}

func (w *trigger) Write(p []byte) (int, error) {
	if _, found := w.until.feed(p); found {
		defer w.pull()
	}
	return w.Writer.Write(p)
}

func scriptIO(ts *testscript.TestScript) IO {
	var in io.Reader = strings.NewReader("")
	if name := ts.Getenv("STDIN"); name != "" {
		in = strings.NewReader(ts.ReadFile(name))
	}
	tty := ts.Getenv("TTY") != ""
	s := IO{In: in, Out: ts.Stdout(), Err: ts.Stderr(), InTTY: tty, OutTTY: tty, Env: ts.Getenv, Home: ts.MkAbs("home"), Now: clock}
	if tty {
		s.MakeRaw = func() (func() error, error) { return func() error { return nil }, nil }
	}
	return s
}

func theFake(ts *testscript.TestScript) *fake { return ts.Value(fakeKey{}).(*fake) }

func cmdCluster(ts *testscript.TestScript, _ bool, args []string) {
	f := theFake(ts)
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch args[0] {
	case "unavailable":
		f.unavailable = n
	case "lose-answer":
		f.loseAnswer = n
	case "cut-watch":
		f.cutWatch = n
	case "forget":
		f.forget = n
	case "not-running":
		f.notRunning = n
	default:
		ts.Fatalf("no fault %q", args[0])
	}
}

func cmdConsistency(ts *testscript.TestScript, _ bool, args []string) {
	f := theFake(ts)
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := f.headers[len(f.headers)-1]; last != strings.Join(args, "") {
		ts.Fatalf("last call had %q", last)
	}
}

func cmdTyped(ts *testscript.TestScript, _ bool, args []string) {
	check(ts, func(f *fake) []byte { return f.sent }, args[0])
}

func cmdRestored(ts *testscript.TestScript, _ bool, args []string) {
	check(ts, func(f *fake) []byte { return f.restored }, args[0])
}

func check(ts *testscript.TestScript, of func(*fake) []byte, want string) {
	f := theFake(ts)
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := bytes.TrimSpace(of(f)); string(got) != want {
		ts.Fatalf("%q, want %q", got, want)
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	root := New(IO{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
	for _, cmd := range everyCommand(root) {
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		require.NotEmpty(t, cmd.Long, cmd.CommandPath())
		if !cmd.HasSubCommands() {
			require.Contains(t, cmd.Long, "\n  "+cmd.CommandPath(), "an example for "+cmd.CommandPath())
		}
	}
}

func everyCommand(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, child := range cmd.Commands() {
		all = append(all, everyCommand(child)...)
	}
	return all
}
