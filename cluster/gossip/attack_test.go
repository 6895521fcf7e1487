package gossip

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

// tap records what a node receives on its way in.
type tap struct {
	memberlist.NodeAwareTransport
	out chan *memberlist.Packet

	mu   sync.Mutex
	seen [][]byte
}

func newTap(ctx context.Context, inner memberlist.NodeAwareTransport) *tap {
	t := &tap{NodeAwareTransport: inner, out: make(chan *memberlist.Packet)}
	go func() {
		for {
			select {
			case p := <-inner.PacketCh():
				t.mu.Lock()
				t.seen = append(t.seen, bytes.Clone(p.Buf))
				t.mu.Unlock()
				select {
				case t.out <- p:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return t
}

func (t *tap) PacketCh() <-chan *memberlist.Packet { return t.out }

func (t *tap) captured() [][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen
}

// tapped starts two members and gives what the first received.
func tapped(t *testing.T) (*fleet, [][]byte) {
	f := newFleet(t, 0, 0)
	cfg := f.config(0, 1)
	tp := newTap(t.Context(), cfg.Transport.(memberlist.NodeAwareTransport))
	cfg.Transport = tp
	g, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	f.nodes = []*Gossip{g, f.start(1, 1)}
	within(t, 5*time.Second, f.allSee(2))
	<-time.After(5 * time.Second)
	require.NotEmpty(t, tp.captured())
	return f, tp.captured()
}

func (f *fleet) inject(packets [][]byte) {
	for _, p := range packets {
		require.NoError(f.t, f.net.Inject("n1", "n0:7946", bytes.Clone(p)))
	}
	<-time.After(30 * time.Second)
}

func TestAttack7ReplayedGossipIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, packets := tapped(t)
		var r recorder
		defer f.nodes[0].Subscribe(r.add)()
		f.inject(packets)
		require.Equal(t, uint64(len(packets)), f.nodes[0].Stats().Replayed)
		require.Empty(t, r.types(nodeID(1)))
		require.True(t, f.allSee(2)())
		f.close()
	})
}

func TestAttack7TamperedGossipIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, packets := tapped(t)
		var r recorder
		defer f.nodes[0].Subscribe(r.add)()
		var forged [][]byte
		for i := range packets[0] {
			p := bytes.Clone(packets[0])
			p[i] ^= 1 // byte 0 is the encryption version, which nothing authenticates
			forged = append(forged, p, p[:i])
		}
		f.inject(forged)
		require.Positive(t, f.nodes[0].Stats().Rejected)
		require.Empty(t, r.types(nodeID(1)))
		require.True(t, f.allSee(2)())
		f.close()
	})
}

// Encryption version 0 under the right key: memberlist would take the last byte, 200, for the length of the padding
// and slice 20 bytes to minus 180.
func TestAttack7EncryptionVersionZeroNeverReachesMemberlist(t *testing.T) {
	block, err := aes.NewCipher(testKey())
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	nonce := make([]byte, nonceLen)
	packet := append([]byte{0}, append(nonce, gcm.Seal(nil, nonce, bytes.Repeat([]byte{200}, 20), nil)...)...)
	require.GreaterOrEqual(t, len(packet), overhead)

	tr := &stubTransport{packets: make(chan *memberlist.Packet, 1)}
	g := newGuard(tr)
	tr.packets <- &memberlist.Packet{Buf: packet}
	require.Eventually(t, func() bool { return g.rejected.Load() == 1 }, time.Minute, time.Millisecond)
	require.NoError(t, g.Shutdown())
}

// stubTransport only delivers packets.
type stubTransport struct {
	memberlist.NodeAwareTransport
	packets chan *memberlist.Packet
	streams chan net.Conn
}

func (s *stubTransport) PacketCh() <-chan *memberlist.Packet { return s.packets }
func (s *stubTransport) StreamCh() <-chan net.Conn           { return s.streams }
func (s *stubTransport) Shutdown() error                     { return nil }

func TestAttack7PlainAndWrongKeyStayOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 2, 2)
		within(t, 5*time.Second, f.allSee(2))
		wrong := f.config(2, 2)
		wrong.Key = bytes.Repeat([]byte{9}, KeyLen)
		outsider, err := Start(t.Context(), wrong)
		require.NoError(t, err)
		plain := f.raw("plain", nodeID(3), goodMeta(t, 3), nil)
		_, err = plain.Join([]string{f.addr(0)})
		require.Error(t, err)
		require.NoError(t, f.net.Inject("plain", "n0:7946", []byte{4, 0x80}))
		<-time.After(time.Minute)
		require.Len(t, f.nodes[0].Members(), 2)
		require.Len(t, outsider.Members(), 1)
		select {
		case <-outsider.Ready():
			t.Fatal("a node with the wrong key is not ready")
		default:
		}
		require.Positive(t, f.nodes[0].Stats().Rejected)
		f.nodes = append(f.nodes, outsider)
		require.NoError(t, plain.Shutdown())
		f.close()
	})
}

func goodMeta(t require.TestingT, i int) []byte {
	b, err := meta{id: uuid.MustParse(nodeID(i)), role: "agent", version: "1"}.encode()
	require.NoError(t, err)
	return b
}

type rawMeta struct {
	delegate
	bytes []byte
}

func (r *rawMeta) NodeMeta(int) []byte { return r.bytes }

// raw starts a memberlist without any of our checks, as an attacker who has the key would.
func (f *fleet) raw(host, name string, meta, key []byte) *memberlist.Memberlist {
	tr, err := f.net.Transport(host)
	require.NoError(f.t, err)
	conf := memberlist.DefaultLANConfig()
	conf.Name, conf.SecretKey, conf.Transport = name, key, tr
	conf.Delegate = &rawMeta{bytes: meta}
	conf.Logger = log.New(io.Discard, "", 0)
	m, err := memberlist.Create(conf)
	require.NoError(f.t, err)
	return m
}

func TestAttack8HostileMetadataIsRefused(t *testing.T) {
	full := bytes.Repeat([]byte{255}, memberlist.MetaMaxSize)
	huge := 1 << 20
	if testing.Short() {
		huge = 1 << 14 // memberlist's compression of a megabyte takes seconds
	}
	for name, c := range map[string]struct {
		node string
		meta []byte
	}{
		"name of 1 MB":      {strings.Repeat("x", huge), goodMeta(t, 3)},
		"name is no UUID":   {"../../etc/passwd", goodMeta(t, 3)},
		"upper case UUID":   {strings.ToUpper(nodeID(3)), goodMeta(t, 3)},
		"no metadata":       {nodeID(3), nil},
		"full of junk":      {nodeID(3), full},
		"another's id":      {nodeID(3), goodMeta(t, 4)},
		"role with newline": {nodeID(3), appendField(goodMeta(t, 3)[:19], tagRole, []byte("a\nb"))},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 2, 2)
				within(t, 5*time.Second, f.allSee(2))
				m := f.raw("evil", c.node, c.meta, testKey())
				_, _ = m.Join([]string{f.addr(0), f.addr(1)})
				<-time.After(time.Minute)
				for _, g := range f.nodes {
					require.Len(t, g.Members(), 2)
				}
				require.NoError(t, m.Shutdown())
				f.close()
			})
		})
	}
}

func TestAttack8OwnMetadataIsCheckedBeforeMemberlistPanics(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"version of 513 bytes": func(c *Config) { c.Version = strings.Repeat("9", 513) },
		"role of 33 bytes":     func(c *Config) { c.Role = strings.Repeat("r", 33) },
		"empty role":           func(c *Config) { c.Role = "" },
		"id":                   func(c *Config) { c.ID = "n1" },
		"short key":            func(c *Config) { c.Key = c.Key[:16] },
		"no key":               func(c *Config) { c.Key = nil },
		"no address":           func(c *Config) { c.BindAddr = "" },
		"port":                 func(c *Config) { c.BindAddr = "127.0.0.1:99999" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{ID: nodeID(1), Role: "agent", Version: "1", Key: testKey(), BindAddr: "127.0.0.1:0"}
			spoil(&cfg)
			_, err := Start(t.Context(), cfg)
			require.ErrorIs(t, err, ErrConfig)
		})
	}
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, 0)
		for range maxStreams + 10 {
			_, err := f.net.Dial(t.Context(), "evil", f.addr(0))
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Equal(t, uint64(10), f.nodes[0].Stats().Crowded)
		<-time.After(time.Minute) // memberlist's deadline frees them
		require.Empty(t, f.nodes[0].guard.slots)
		f.close()
	})
}

func TestStreamHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, 0)
		for _, header := range [][]byte{
			{6, 0, 0, 0, 200, 1},    // plain push/pull
			{10, 0, 0, 0, 200, 0},   // encryption version 0
			{10, 255, 0, 0, 200, 1}, // 4 GiB
			{10, 0, 0, 0, 1, 1},     // shorter than its own overhead
			{244, 1, 'x', 0, 0, 0},  // labelled
		} {
			c, err := f.net.Dial(t.Context(), "evil", f.addr(0))
			require.NoError(t, err)
			_, err = c.Write(append(header, make([]byte, 100)...))
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, c)
			require.NoError(t, err)
		}
		require.Equal(t, uint64(5), f.nodes[0].Stats().Rejected)
		f.close()
	})
}

// TestRealLoopback runs the same over UDP and TCP sockets.
func TestRealLoopback(t *testing.T) {
	start := func(i int, key []byte, seeds ...string) *Gossip {
		g, err := Start(t.Context(), Config{
			ID: nodeID(i), Name: nodeName(i), Role: "agent", Version: "1", Key: key, BindAddr: "127.0.0.1:0",
			Seeds: func() []string { return seeds }, RejoinEvery: 200 * time.Millisecond,
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, g.Close()) })
		return g
	}
	a := start(0, testKey())
	b := start(1, testKey(), a.Addr(), a.Addr())
	<-b.Ready()
	wrong := start(2, bytes.Repeat([]byte{9}, KeyLen), a.Addr(), b.Addr())
	both := func() bool { return alive(a) == 2 && alive(b) == 2 }
	require.Eventually(t, both, time.Minute, 10*time.Millisecond)

	conn, err := net.Dial("udp", a.Addr())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	for _, p := range [][]byte{nil, {0}, {1}, bytes.Repeat([]byte{1}, 100), bytes.Repeat([]byte{0}, 1400), []byte("plain text")} {
		_, err := conn.Write(p)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return a.Stats().Rejected >= 4 }, time.Minute, 10*time.Millisecond)
	require.True(t, both())
	require.Equal(t, 1, alive(wrong))
	require.NoError(t, b.Leave(t.Context()))
	require.Eventually(t, func() bool { return stateOf(a, nodeID(1)) == Left }, time.Minute, 10*time.Millisecond)
}

func FuzzDecodeMeta(f *testing.F) {
	f.Add(goodMeta(f, 1))
	f.Add([]byte{})
	f.Add([]byte{metaFormat, 9, 200})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			require.ErrorIs(t, err, ErrMeta)
			return
		}
		again, err := m.encode()
		require.NoError(t, err)
		back, err := decodeMeta(again)
		require.NoError(t, err)
		require.Equal(t, m, back)
	})
}

func FuzzAdmit(f *testing.F) {
	f.Add(bytes.Repeat([]byte{1}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		g := &guard{}
		if g.admit(b) {
			require.False(t, g.admit(b), "the second time is a replay")
		}
	})
}

func TestMetaSkipsFieldsOfLaterReleases(t *testing.T) {
	later := appendField(goodMeta(t, 1), 200, []byte("new"))
	m, err := decodeMeta(later)
	require.NoError(t, err)
	require.Equal(t, "agent", m.role)
}
