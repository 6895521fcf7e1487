package query

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/sim"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/federate/wire"
)

// role is what one process of ours is: all shards, or the controller.
type role struct {
	Controller bool
	Dir        string
	Workload   sim.Workload
}

// roleVariable has the test binary play a role until its input ends.
const roleVariable = "NOVACRON_BENCH_QUERY"

// Files in the folder of both: where the shards are, and where the controller is.
const (
	hostsFile = "hosts.json"
	apiFile   = "api.json"
)

func TestRole(t *testing.T) {
	text := os.Getenv(roleVariable)
	if text == "" {
		t.Skip("it is a process of TestBenchQuery")
	}
	var r role
	require.NoError(t, json.Unmarshal([]byte(text), &r))
	if r.Controller {
		r.ask(t)
	} else {
		r.answer(t)
	}
}

// answer keeps and serves the shards.
func (r role) answer(t *testing.T) {
	debug.SetGCPercent(50) // as agents do
	authority, err := sim.NewAuthority()
	require.NoError(t, err)
	hosts, err := sim.Start(t.Context(), sim.Options{Workload: r.Workload, Dir: filepath.Join(r.Dir, "shards"), Authority: authority})
	require.NoError(t, err)
	defer func() { require.NoError(t, hosts.Close()) }()
	material, err := authority.Material(sim.Controller, pki.RoleController)
	require.NoError(t, err)
	require.NoError(t, pki.SaveMaterial(filepath.Join(r.Dir, "pki"), material))
	r.publish(t, hostsFile, hosts.List())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// patient waits for shards of a machine that does other work, too: what is measured is work.
var patient = federate.Options{Timeout: time.Minute}

// ask serves the API of a controller, with a second one below /raw that does not push down, a third below /cached that
// keeps results, and the bytes that have travelled between controller and shards at /bytes.
func (r role) ask(t *testing.T) {
	var hosts []wire.Host
	r.read(t, hostsFile, &hosts)
	material, err := pki.LoadMaterial(filepath.Join(r.Dir, "pki"))
	require.NoError(t, err)
	network, now := &countingNetwork{}, &askedClock{}
	asker, err := sim.NewAsker(sim.ControllerOptions{Hosts: func() []wire.Host { return hosts }, Material: material, Network: network, Clock: now.time, Fleet: patient})
	require.NoError(t, err)
	defer asker.Close()
	mux := http.NewServeMux()
	mux.Handle("/", asker.API)
	mux.Handle("/raw/", http.StripPrefix("/raw", asker.RawAPI))
	mux.Handle("/cached/", http.StripPrefix("/cached", now.follow(asker.CachedAPI)))
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, network.bytes.Load()) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	r.publish(t, apiFile, "http://"+listener.Addr().String())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func (r role) publish(t *testing.T, name string, content any) {
	text, err := json.Marshal(content)
	require.NoError(t, err)
	path := filepath.Join(r.Dir, name)
	require.NoError(t, os.WriteFile(path+".new", text, 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

func (r role) read(t *testing.T, name string, into any) {
	text, err := os.ReadFile(filepath.Join(r.Dir, name))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, into))
}

// start runs a role in a process of its own until the test ends, and returns when it has published a file.
func (r role) start(t *testing.T, ready string) (pid int) {
	t.Helper()
	text, err := json.Marshal(r)
	require.NoError(t, err)
	program, err := os.Executable()
	require.NoError(t, err)
	log, err := os.Create(filepath.Join(r.Dir, ready+".log"))
	require.NoError(t, err)
	cmd := exec.Command(program, "-test.run=^TestRole$", "-test.v", "-test.timeout=20m")
	cmd.Env = append(os.Environ(), roleVariable+"="+string(text))
	cmd.Stdout, cmd.Stderr = log, log
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = input.Close()
		require.NoError(t, <-ended)
		require.NoError(t, log.Close())
	})
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		if _, err := os.Stat(filepath.Join(r.Dir, ready)); err == nil {
			return cmd.Process.Pid
		}
		if len(ended) > 0 {
			said, _ := os.ReadFile(log.Name())
			require.Fail(t, "a process has ended", "%s", said)
		}
	}
}

// countingNetwork is TCP, and counts the bytes of its connections in both directions.
type countingNetwork struct {
	sim.TCP
	bytes atomic.Int64
}

func (n *countingNetwork) Dial(ctx context.Context, from, address string) (net.Conn, error) {
	conn, err := n.TCP.Dial(ctx, from, address)
	return countingConn{conn, &n.bytes}, err
}

type countingConn struct {
	net.Conn
	bytes *atomic.Int64
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (c countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}

// spent is the time of the processor that a process took, in the nanoseconds that the kernel counts for its threads.
func spent(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	require.NoError(t, err)
	require.NotEmpty(t, threads)
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		require.NoError(t, err)
		number, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(number, 10, 64)
		require.NoError(t, err)
		sum += time.Duration(n)
	}
	return sum
}
