package itest_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// shell runs the command line against a scene, as its administrator.
type shell struct {
	*scene
	*env.Shell
}

func newShell(t *testing.T) *shell {
	t.Helper()
	s := newScene(t)
	commands, err := s.NewShell(t.TempDir())
	require.NoError(t, err)
	return &shell{s, commands}
}

// run gives the exit status and what the user reads.
func (s *shell) run(args ...string) (code int, says string) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	return s.Run(ctx, args...)
}

// file writes a file for a command to read.
func (s *shell) file(name string, content []byte) string {
	s.t.Helper()
	path := filepath.Join(s.Home, name)
	require.NoError(s.t, os.WriteFile(path, content, 0o600))
	return path
}

// badCommand is a command line, the exit status that it deserves and what it must say: the field or the cause, and the
// way out.
type badCommand struct {
	name string
	args []string
	code int
	says []string
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	definition := func(lines string) string {
		return s.file(fmt.Sprintf("vm-%d.yaml", time.Now().UnixNano()), []byte("name: bad\ncpus: 1\nmemoryMB: 128\n"+lines))
	}
	backing := qcow2(func(h []byte) {
		copy(h[8:], []byte{0, 0, 0, 0, 0, 0, 0, 200, 0, 0, 0, 11})
		copy(h[200:], "/etc/passwd")
	})
	disk, upload := s.file("disk.raw", []byte("a disk")), fmt.Sprintf("%x", sha256.Sum256([]byte("a disk")))
	for _, bad := range []badCommand{
		{"unknown key", []string{"vm", "create", "-f", definition("memroyMB: 64\n")}, 1, []string{"memroyMB", "unknown", "memoryMB"}},
		{"unknown nested key", []string{"vm", "create", "-f", definition("volumes: [{name: d, siezGB: 1}]\n")}, 1, []string{"volumes[0]", "siezGB", "sizeGB"}},
		{"key twice", []string{"vm", "create", "-f", definition("cpus: 2\n")}, 1, []string{"cpus"}},
		{"wrong type", []string{"vm", "create", "-f", definition("diskGB: much\n")}, 1, []string{"diskGB", "much"}},
		{"no such file", []string{"vm", "create", "-f", filepath.Join(s.Home, "none.yaml")}, 1, []string{"none.yaml"}},
		{"bad name", []string{"vm", "create", "web_1", "--cpus", "1", "--memory", "128MiB"}, 1, []string{"name", "web_1", "1 to 63"}},
		{"no CPU", []string{"vm", "create", "web", "--memory", "128MiB"}, 1, []string{"cpus"}},
		{"bad size", []string{"vm", "create", "web", "--cpus", "1", "--memory", "lots"}, 2, []string{"lots", "memory"}},
		{"unknown image", []string{"vm", "create", "web", "--cpus", "1", "--memory", "128MiB", "--disk", "1GiB", "--image", "nosuch"}, 1,
			[]string{"image", "nosuch", "novacron image add"}},
		{"unknown kernel", []string{"vm", "create", "web", "--cpus", "1", "--memory", "128MiB", "--kernel", "nokernel"}, 1,
			[]string{"boot.kernel", "nokernel", "novacron image add"}},
		{"taken name", []string{"vm", "create", "victim", "--cpus", "1", "--memory", "128MiB"}, 1, []string{"name", "victim", "choose another name"}},
		{"unknown machine", []string{"vm", "start", "nobody"}, 1, []string{"nobody", "novacron vm list"}},
		{"wrong hash", []string{"image", "add", "disk", disk, "--sha256", strings.Repeat("0", 64)}, 1, []string{strings.Repeat("0", 64)}},
		{"malformed hash", []string{"image", "add", "disk", disk, "--sha256", "xyz"}, 2, []string{"xyz"}},
		{"wrong format", []string{"image", "add", "disk", disk, "--format", "qcow2"}, 1, []string{"format", "qcow2", "raw"}},
		{"backing file", []string{"image", "add", "disk", s.file("backed.qcow2", backing)}, 1, []string{"backing file"}},
		{"empty image", []string{"image", "add", "disk", s.file("empty", nil)}, 1, []string{"empty"}},
		{"bad image name", []string{"image", "add", "../disk", disk}, 1, []string{"name", "../disk"}},
		{"unknown host", []string{"host", "show", "nowhere"}, 1, []string{"nowhere", "novacron host list"}},
		{"malformed token", []string{"cluster", "join", s.admin.Address, "--token", "nonsense"}, 1, []string{"token", "copy"}},
		{"no such command", []string{"vm", "crate"}, 2, []string{"crate", "create"}},
		{"no such controller", []string{"--endpoint", "127.0.0.1:1", "--timeout", "1s", "vm", "list"}, 1, []string{"127.0.0.1:1"}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			before := without(s.world(), upload)
			code, says := s.run(bad.args...)
			require.Equal(t, bad.code, code, says)
			for _, part := range bad.says {
				require.Contains(t, says, part)
			}
			require.Equal(t, before, without(s.world(), upload), "it left something behind")
		})
	}
}

// without leaves out the sound upload that waits for a name: a refused name or format says how to go on, and the bytes go
// by themselves after a day.
func without(world []string, upload string) []string {
	return slices.DeleteFunc(world, func(thing string) bool { return strings.HasSuffix(thing, upload) })
}

func TestNoHostWithRoom(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	code, says := s.run("vm", "create", "giant", "--cpus", "1", "--memory", "1000GiB", "--grace", "1s")
	require.Equal(t, 3, code, says)
	for _, part := range []string{"no host fits: of 2 hosts", "2 by memory", "1024000 MiB asked for"} {
		require.Contains(t, says, part)
	}
	code, says = s.run("vm", "delete", "giant", "--yes")
	require.Zero(t, code, says)
	_, says = s.run("vm", "list", "-o", "csv")
	require.NotContains(t, says, "giant")
	for _, host := range s.Members(pki.RoleAgent) {
		for _, thing := range host.Host.Driver.Leftovers() {
			require.Contains(t, thing, s.victim.GetId())
		}
	}
}

func TestBadTokensSayWhy(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	used := s.token(tokenRequest(pki.RoleViewer))
	_, err := node.Join(t.Context(), s.JoinOptions("first", used))
	require.NoError(t, err)
	parsed, err := pki.ParseToken(used)
	require.NoError(t, err)
	forged, _, err := pki.NewToken(pki.RoleAdmin, time.Minute, "", parsed.CAFingerprint, time.Now())
	require.NoError(t, err)
	foreign, _, err := pki.NewToken(pki.RoleAdmin, time.Minute, "", strings.Repeat("ab", 32), time.Now())
	require.NoError(t, err)
	expired := s.token(&novacronv1.CreateTokenRequest{Role: novacronv1.Role_ROLE_AGENT, Ttl: durationpb.New(time.Millisecond)})
	for name, bad := range map[string]struct{ token, says string }{
		"used":            {used, "used already, by first"},
		"forged":          {forged, "unknown"},
		"expired":         {expired, "expired"},
		"another cluster": {foreign, "CA"},
		"mistyped":        {used[:len(used)-1] + "x", "copy the token again"},
	} {
		t.Run(name, func(t *testing.T) {
			before, dir := s.world(), filepath.Join(t.TempDir(), "member")
			code, says := s.run("cluster", "join", s.admin.Address, "--token", bad.token, "--name", "newcomer", "--address", "127.0.0.9", "--data-dir", dir)
			require.Equal(t, 1, code, says)
			require.Contains(t, says, bad.says)
			require.NoDirExists(t, dir)
			require.Equal(t, before, s.world())
		})
	}
	_, err = s.Token(t.Context(), &novacronv1.CreateTokenRequest{Role: novacronv1.Role_ROLE_AGENT, Ttl: durationpb.New(time.Hour)})
	refused(t, err, connect.CodeInvalidArgument, "15 min", "1h")
	_, err = s.Token(t.Context(), &novacronv1.CreateTokenRequest{})
	refused(t, err, connect.CodeInvalidArgument, "must be controller, agent, admin, operator, viewer, metrics-writer or metrics-reader")
}

func TestJoinThatCouldNotStartSpendsNoToken(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	token := s.token(tokenRequest(pki.RoleAgent))
	for field, change := range map[string]func(*node.JoinOptions){
		"api_address":    func(o *node.JoinOptions) { o.API = "0.0.0.0:7750" },
		"gossip_address": func(o *node.JoinOptions) { o.Gossip = "127.0.0.1:port" },
	} {
		s.nothingChanges(func() {
			options := s.JoinOptions("newcomer", token)
			change(&options)
			_, err := node.Join(t.Context(), options)
			refused(t, err, connect.CodeInvalidArgument, field)
			require.NoDirExists(t, options.DataDir)
		})
	}
	_, err := node.Join(t.Context(), s.JoinOptions("newcomer", token))
	require.NoError(t, err)
}
