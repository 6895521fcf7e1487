package memnet_test

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/cluster/memnet"
)

// link opens one connection a -> b.
func link(t require.TestingT, n *memnet.Network) (client, server net.Conn) {
	l, err := n.Listen("b:80")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	client, err = n.Dial(context.Background(), "a", "b:80")
	require.NoError(t, err)
	server, err = l.Accept()
	require.NoError(t, err)
	return client, server
}

func TestStreamArrivesAfterItsDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		n.Delay(30*time.Millisecond, 0)
		start := time.Now()
		c, s := link(t, n)
		require.Equal(t, 60*time.Millisecond, time.Since(start), "a handshake is one round trip")
		_, err := c.Write([]byte("hello"))
		require.NoError(t, err)
		require.NoError(t, c.Close())
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, "hello", string(got))
		require.Equal(t, 90*time.Millisecond, time.Since(start))
		_, err = s.Write([]byte("x"))
		require.ErrorIs(t, err, memnet.ErrReset)
	})
}

func TestBlackHoleDeliversAfterTheHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		c, s := link(t, n)
		n.Cut("a", "b")
		_, err := c.Write([]byte("late"))
		require.NoError(t, err)
		require.NoError(t, s.SetReadDeadline(time.Now().Add(time.Second)))
		b := make([]byte, 9)
		_, err = s.Read(b)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, s.SetReadDeadline(time.Time{}))
		time.AfterFunc(time.Hour, n.Heal)
		k, err := s.Read(b)
		require.NoError(t, err)
		require.Equal(t, "late", string(b[:k]))
	})
}

func TestKillResetsWhatACutSeparates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		n.OnCut(memnet.Kill)
		c, s := link(t, n)
		n.Partition([]string{"b"})
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, memnet.ErrReset)
		_, err = s.Write([]byte("x"))
		require.ErrorIs(t, err, memnet.ErrReset)
	})
}

func TestOneWayCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		c, s := link(t, n)
		n.CutOneWay("a", "b")
		_, err := s.Write([]byte("x"))
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.NoError(t, err, "b to a is open")
		_, err = c.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, s.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err = s.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		n.HealLink("a", "b")
		require.NoError(t, s.SetReadDeadline(time.Time{}))
		_, err = s.Read(make([]byte, 1))
		require.NoError(t, err)
	})
}

func TestDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		_, err := n.Dial(t.Context(), "a", "b:1")
		require.ErrorIs(t, err, memnet.ErrRefused)
		_, err = n.Dial(t.Context(), "a", "10.9.9.9:1")
		require.ErrorIs(t, err, memnet.ErrBadAddress)

		layer, err := n.StreamLayer("b:1")
		require.NoError(t, err)
		_, err = n.Listen("b:1")
		require.ErrorIs(t, err, memnet.ErrInUse)
		n.Isolate("b")
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = n.Dial(ctx, "a", layer.Addr().String())
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
		require.Equal(t, time.Second, time.Since(start))

		other, err := n.StreamLayer("c:0")
		require.NoError(t, err)
		time.AfterFunc(time.Second, func() { n.HealNode("b") })
		conn, err := other.Dial("b:1", time.Minute)
		require.NoError(t, err)
		require.Equal(t, layer.Addr(), conn.RemoteAddr())
		require.NoError(t, layer.Close())
		_, err = layer.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestCrashEndsEverythingOfANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		c, _ := link(t, n)
		tr, err := n.Transport("b")
		require.NoError(t, err)
		l, err := n.Listen("b:9")
		require.NoError(t, err)
		n.Crash("b")
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, memnet.ErrReset)
		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		require.NoError(t, tr.Shutdown())
		again, err := n.Transport("b")
		require.NoError(t, err, "a restarted node may listen again")
		require.NoError(t, again.Shutdown())
	})
}

// arrivals sends 200 numbered packets and returns which came through.
func arrivals(t *testing.T, seed uint64) []byte {
	var got []byte
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(seed)
		a, err := n.Transport("a")
		require.NoError(t, err)
		b, err := n.Transport("b")
		require.NoError(t, err)
		n.Loss(0.3)
		for i := range 200 {
			_, err := a.WriteTo([]byte{byte(i)}, n.IP("b").String()+":7946")
			require.NoError(t, err)
		}
		for len(b.PacketCh()) > 0 {
			got = append(got, (<-b.PacketCh()).Buf...)
		}
		require.NoError(t, a.Shutdown())
		require.NoError(t, b.Shutdown())
	})
	return got
}

func TestLossFollowsTheSeed(t *testing.T) {
	first := arrivals(t, 7)
	require.InDelta(t, 140, len(first), 30)
	require.Equal(t, first, arrivals(t, 7))
	require.NotEqual(t, first, arrivals(t, 8))
}

func TestWriteBlocksWhenTheWindowIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		c, s := link(t, n)
		n.Cut("a", "b")
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
		chunk := make([]byte, 1<<18)
		for range 4 {
			_, err := c.Write(chunk)
			require.NoError(t, err)
		}
		_, err := c.Write(chunk)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		n.Heal()
		got, err := io.ReadFull(s, make([]byte, 1<<20))
		require.NoError(t, err)
		require.Equal(t, 1<<20, got)
		require.NoError(t, c.SetWriteDeadline(time.Time{}))
		_, err = c.Write(chunk)
		require.NoError(t, err)
	})
}

// turn is one write and the weather it travels in.
type turn struct {
	delay, jitter time.Duration
	loss          float64
	cut           bool
	data          []byte
}

// Whatever the faults do meanwhile, a stream arrives complete and in order once the network is whole.
func TestStreamKeepsOrderUnderFaults(t *testing.T) {
	span := rapid.SampledFrom([]time.Duration{0, 1, time.Second})
	turns := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) turn {
		return turn{
			delay: span.Draw(t, "delay"), jitter: span.Draw(t, "jitter"), loss: rapid.SampledFrom([]float64{0, 0.5}).Draw(t, "loss"),
			cut: rapid.Bool().Draw(t, "cut"), data: rapid.SliceOfN(rapid.Byte(), 1, 10).Draw(t, "data"),
		}
	}), 0, 20)
	rapid.Check(t, func(rt *rapid.T) {
		seed, plan := rapid.Uint64().Draw(rt, "seed"), turns.Draw(rt, "turns")
		var sent, got []byte
		synctest.Test(t, func(t *testing.T) { sent, got = play(t, seed, plan) })
		if string(sent) != string(got) {
			rt.Fatalf("sent %x, got %x", sent, got)
		}
	})
}

func play(t *testing.T, seed uint64, plan []turn) (sent, got []byte) {
	n := memnet.New(seed)
	c, s := link(t, n)
	for _, p := range plan {
		n.Delay(p.delay, p.jitter)
		n.Loss(p.loss)
		if p.cut {
			n.Cut("a", "b")
		}
		_, err := c.Write(p.data)
		require.NoError(t, err)
		sent = append(sent, p.data...)
	}
	n.Heal()
	require.NoError(t, c.Close())
	got, err := io.ReadAll(s)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	return sent, got
}

func TestThreeConnectionsAtOnceUseDistinctAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		l, err := n.Listen("b:80")
		require.NoError(t, err)
		seen := map[string]bool{}
		for range 3 {
			c, err := n.Dial(t.Context(), "a", "b:80")
			require.NoError(t, err)
			seen[c.LocalAddr().String()] = true
		}
		require.Len(t, seen, 3)
		require.NoError(t, l.Close())
	})
}
