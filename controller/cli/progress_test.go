package cli

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProgressOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newApp(IO{Err: &out, ErrTTY: true, Width: func() int { return 24 }}.withDefaults()).newProgress()
		p.set("web-1: pending")
		time.Sleep(3*redrawEvery + time.Millisecond)
		synctest.Wait()
		p.set("web-1: creating on a host with a long name")
		p.stop()
		const clear = "\r\x1b[K"
		require.Equal(t, clear+"| web-1: pending (0s)"+clear+"/ web-1: pending (0s)"+clear+"- web-1: pending (0s)"+
			clear+"\\ web-1: pending (0s)"+clear+"\\ web-1: creating on a…"+clear, out.String())
	})
}

func TestProgressElsewhere(t *testing.T) {
	var out bytes.Buffer
	p := newApp(IO{Err: &out}.withDefaults()).newProgress()
	for _, text := range []string{"pending", "pending", "running\x07"} {
		p.set(text)
	}
	newBar(p, "file", 100).add(50)
	p.stop()
	require.Equal(t, "pending\nrunning·\n", out.String())
}

func TestBar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newApp(IO{Err: io.Discard}.withDefaults()).newProgress()
		defer p.stop()
		b := newBar(p, "disk.qcow2", 4<<20)
		require.Equal(t, "disk.qcow2 [------------------------]   0%", b.String())
		time.Sleep(2 * time.Second)
		b.add(2 << 20)
		require.Equal(t, "disk.qcow2 [############------------]  50% 1MiB/s", b.String())
		require.Contains(t, newBar(p, "empty", 0).String(), "100%")
	})
}
