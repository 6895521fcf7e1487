package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/stretchr/testify/require"
)

func TestRetriesStopAtTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &retrier{timeout: 30 * time.Second, endpoints: &failover{endpoints: []string{"a:1", "b:1"}}}
		busy := connect.NewError(connect.CodeUnavailable, errors.New("no leader"))
		calls := 0
		start := time.Now()
		err := r.do(t.Context(), func(ctx context.Context, _ func()) error {
			calls++
			trailOf(ctx).ask(r.endpoints.pick())
			return busy
		})
		f, ok := errors.AsType[*fault](err)
		require.True(t, ok)
		require.Equal(t, []string{"a:1: no leader", "b:1: no leader"}, f.details)
		require.InDelta(t, 29, time.Since(start).Seconds(), 2)
		require.Greater(t, calls, 15)
		require.Less(t, calls, 45)
	})
}

func TestNewsRenewTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &retrier{timeout: time.Second, endpoints: &failover{endpoints: []string{"a:1"}}}
		calls := 0
		err := r.do(t.Context(), func(_ context.Context, news func()) error {
			if calls++; calls == 20 {
				return nil
			}
			news()
			time.Sleep(time.Hour) // a stream that was quiet for long and then broke
			return connect.NewError(connect.CodeUnavailable, io.ErrUnexpectedEOF)
		})
		require.NoError(t, err)
	})
}

// runWith runs a command line against a context and answers what it wrote and its error.
func runWith(t *testing.T, ctx Context, now func() time.Time, args ...string) (string, error) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, SaveContext(path, ctx))
	var out bytes.Buffer
	root := New(IO{In: strings.NewReader(""), Out: &out, Err: &out, Now: now})
	root.SetArgs(append(args, "--config", path))
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestExpiredCertificateIsToldAtOnce(t *testing.T) {
	ca := newAuthority(t)
	ctx := NewContext("old", []string{"127.0.0.1:1"}, ca.material("root", pki.RoleAdmin))
	_, err := runWith(t, ctx, func() time.Time { return time.Now().AddDate(1, 0, 0) }, "vm", "list")
	require.ErrorContains(t, err, `the certificate of context "old" ended on`)
}

func TestRefusedCertificateIsToldAtOnce(t *testing.T) {
	ca := newAuthority(t)
	credentials, err := pki.NewCredentials(ca.material("ctl-1", pki.RoleController), pki.Options{
		Revoked: func(nodeID, _ string) bool { return nodeID == "id-root" },
	})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := quietServer(http.NotFoundHandler(), credentials)
	go func() { _ = server.ServeTLS(listener, "", "") }()
	defer server.Close()
	ctx := NewContext("lab", []string{listener.Addr().String()}, ca.material("root", pki.RoleAdmin))
	_, err = runWith(t, ctx, nil, "vm", "list", "--timeout", "1m")
	require.ErrorContains(t, err, "does not accept this certificate")
}

// TestSilentControllerIsGivenUp has one that takes connections and says nothing on them.
func TestSilentControllerIsGivenUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	ctx := NewContext("lab", []string{listener.Addr().String()}, newAuthority(t).material("root", pki.RoleAdmin))
	_, err = runWith(t, ctx, nil, "vm", "list", "--timeout", "200ms")
	require.ErrorContains(t, err, "did not answer within 200ms")
	require.ErrorContains(t, err, listener.Addr().String()+": no answer yet")
}
