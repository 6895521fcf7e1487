package peer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/blob"
	"github.com/novacron/novacron/cluster/blob/peer"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
)

func open(t *testing.T) *blob.Store {
	t.Helper()
	store, err := blob.Open(t.TempDir(), blob.Limits{MinFree: 1, Rounds: 1, Backoff: time.Millisecond, Stall: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func sum(content []byte) string {
	hash := sha256.Sum256(content)
	return hex.EncodeToString(hash[:])
}

// serve offers a service as a member would, and gives the source of it.
func serve(t *testing.T, service agentv1connect.BlobServiceHandler) peer.Source {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(agentv1connect.NewBlobServiceHandler(service))
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return peer.Source{Address: server.Listener.Addr().String(), HTTP: server.Client()}
}

// content is longer than two messages of a stream.
func content() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 40<<10) }

func TestFilesTravelFromAnyOffset(t *testing.T) {
	store, all := open(t), content()
	_, err := store.Put(t.Context(), bytes.NewReader(all), "")
	require.NoError(t, err)
	source := serve(t, peer.Service{Store: store})
	for _, offset := range []int{0, 1, 256 << 10, len(all) - 1, len(all)} {
		body, err := source.Get(t.Context(), sum(all), int64(offset))
		require.NoError(t, err)
		got, err := io.ReadAll(body)
		require.NoError(t, err)
		require.True(t, bytes.Equal(all[offset:], got), "from %d", offset)
		require.NoError(t, body.Close())
	}
}

func TestWhatIsAskedForBadlyIsRefused(t *testing.T) {
	source := serve(t, peer.Service{Store: open(t)})
	for hash, code := range map[string]connect.Code{
		sum(nil): connect.CodeNotFound, "../../etc/passwd": connect.CodeInvalidArgument, "": connect.CodeInvalidArgument,
		strings.ToUpper(sum(nil)): connect.CodeInvalidArgument,
	} {
		body, err := source.Get(t.Context(), hash, 0)
		if err == nil {
			_, err = io.ReadAll(body)
			require.NoError(t, body.Close())
		}
		require.Equal(t, code, connect.CodeOf(err), "%q: %v", hash, err)
	}
	client := agentv1connect.NewBlobServiceClient(source.HTTP, "https://"+source.Address)
	_, err := client.PullBlob(t.Context(), connect.NewRequest(&agentv1.PullBlobRequest{Sha256: sum(nil), Source: "127.0.0.1:1"}))
	require.Equal(t, connect.CodePermissionDenied, connect.CodeOf(err), "without a client it dials nobody")
}

// liar is a member that sends what a test wants instead of the file.
type liar struct {
	agentv1connect.UnimplementedBlobServiceHandler
	say func(offset int) ([]byte, error)
}

func (l liar) GetBlob(_ context.Context, r *connect.Request[agentv1.GetBlobRequest], stream *connect.ServerStream[agentv1.GetBlobResponse]) error {
	data, err := l.say(int(r.Msg.GetOffset()))
	for chunk := range bytesIn(data, 100<<10) {
		if sendErr := stream.Send(&agentv1.GetBlobResponse{Data: chunk}); sendErr != nil {
			return sendErr
		}
	}
	return err
}

func bytesIn(data []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(data) > 0 {
			n := min(size, len(data))
			if !yield(data[:n]) {
				return
			}
			data = data[n:]
		}
	}
}

func TestBadPeersAreFoundOutAndPassedOver(t *testing.T) {
	all := content()
	broken := bytes.Clone(all)
	broken[len(broken)/2] ^= 1
	honest := open(t)
	_, err := honest.Put(t.Context(), bytes.NewReader(all), "")
	require.NoError(t, err)
	good := serve(t, peer.Service{Store: honest})
	for name, c := range map[string]struct {
		say  func(offset int) ([]byte, error)
		want error
	}{
		"corrupted": {func(offset int) ([]byte, error) { return broken[min(offset, len(broken)):], nil }, blob.ErrHashMismatch},
		"truncated": {func(offset int) ([]byte, error) { return all[min(offset, 1000):1000], nil }, blob.ErrShort},
		"too long":  {func(int) ([]byte, error) { return append(bytes.Clone(all), 0), nil }, blob.ErrFetch},
		"cut off": {func(offset int) ([]byte, error) {
			return all[min(offset, 1000):1000], connect.NewError(connect.CodeInternal, errors.New("disk on fire"))
		}, blob.ErrFetch},
		"silent": {func(int) ([]byte, error) { return nil, nil }, blob.ErrShort},
	} {
		t.Run(name, func(t *testing.T) {
			bad := serve(t, liar{say: c.say})
			store := open(t)
			err := store.Fetch(t.Context(), sum(all), int64(len(all)), []blob.Source{bad})
			require.ErrorIs(t, err, blob.ErrFetch)
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, bad.Name())
			_, err = store.Stat(sum(all))
			require.ErrorIs(t, err, blob.ErrNotFound, "nothing of it may be taken for the file")
			require.NoError(t, store.Fetch(t.Context(), sum(all), int64(len(all)), []blob.Source{bad, good}))
			require.NoError(t, store.Verify(t.Context()))
		})
	}
}

func TestSourcesLeaveOneselfOut(t *testing.T) {
	sources := peer.Sources(nil, []string{"a:1", "b:1", "c:1"}, "b:1")
	require.Len(t, sources, 2)
	require.Equal(t, "a:1", sources[0].Name())
	require.Equal(t, "c:1", sources[1].Name())
}
