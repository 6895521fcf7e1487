package drivertest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
)

// greeting is what a guest says on its first serial port once it is up.
const greeting = "GUEST-UP"

// talk is what a guest says on its console. One goroutine reads it to the end: a second reader would take pieces away.
type talk struct {
	hypervisor.Console
	pieces chan []byte
	// greeted is closed when pieces are not wanted any more, ended when there are no more, because of err.
	greeted, ended chan struct{}
	err            error
}

func listen(console hypervisor.Console) *talk {
	t := &talk{Console: console, pieces: make(chan []byte), greeted: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(t.ended)
		for {
			buf := make([]byte, 4096)
			n, err := console.Read(buf)
			if err != nil {
				t.err = err
				return
			}
			select {
			case t.pieces <- buf[:n]:
			case <-t.greeted:
			}
		}
	}()
	return t
}

// boot starts a guest, and gives its console when it has greeted. Where the test is about what comes after, a guest that seems
// to have frozen on the way may have more starts than one; what it said until then is told.
func (g Target) boot(t *testing.T, id string, starts int) *talk {
	t.Helper()
	for range starts {
		require.NoError(t, g.Driver.Start(t.Context(), id))
		console, err := g.Driver.Console(t.Context(), id)
		require.NoError(t, err)
		guest := listen(console)
		said, greets := g.greets(t, guest)
		close(guest.greeted)
		if greets {
			return guest
		}
		t.Logf("%s: the guest is not up %s after its start; it said %q", id, g.Patience, said)
		require.NoError(t, console.Close())
		require.NoError(t, g.Driver.Kill(t.Context(), id, false))
	}
	require.Fail(t, "the guest does not greet")
	return nil
}

// greets waits for the greeting, and tells what was said until then.
func (g Target) greets(t *testing.T, guest *talk) (said string, greets bool) {
	t.Helper()
	var all bytes.Buffer
	late := time.After(g.Patience)
	for !strings.Contains(all.String(), greeting) {
		select {
		case piece := <-guest.pieces:
			all.Write(piece)
		case <-guest.ended:
			require.NoError(t, guest.err, "after %q", all.String())
		case <-late:
			return all.String(), false
		}
	}
	return all.String(), true
}
