package cli

import (
	"bytes"
	"context"
	"io"
)

// escapeKey is Ctrl-], as in telnet and virsh.
const escapeKey = 0x1d

// splitEscape cuts keys at the escape: what comes before it still goes to the guest.
func splitEscape(keys []byte) (send []byte, leave bool) {
	if i := bytes.IndexByte(keys, escapeKey); i >= 0 {
		return keys[:i], true
	}
	return keys, false
}

// readKeys passes on what is typed until the end of the input or, on a terminal, the escape. The end of the input does
// not end the session: the answer to what was sent is still to come.
func readKeys(ctx context.Context, in io.Reader, keys chan<- []byte, escapes bool, leave context.CancelCauseFunc) {
	buf := make([]byte, 4096)
	for {
		n, err := in.Read(buf)
		send, escaped := buf[:n], false
		if escapes {
			send, escaped = splitEscape(send)
		}
		if len(send) > 0 {
			select {
			case keys <- bytes.Clone(send):
			case <-ctx.Done():
				return
			}
		}
		if escaped {
			leave(errDetached)
		}
		if escaped || err != nil {
			return
		}
	}
}

// finder looks for a text in a stream that comes in pieces. Nil finds nothing.
type finder struct {
	text []byte
	// tail is the end of what came before, one byte shorter than the text.
	tail []byte
}

func newFinder(text string) *finder {
	if text == "" {
		return nil
	}
	return &finder{text: []byte(text)}
}

// feed answers how much of a piece to show: all of it, or up to the end of the text.
func (f *finder) feed(piece []byte) (end int, found bool) {
	if f == nil {
		return len(piece), false
	}
	seen := append(f.tail, piece...)
	if i := bytes.Index(seen, f.text); i >= 0 {
		return i + len(f.text) - len(f.tail), true
	}
	f.tail = bytes.Clone(seen[max(0, len(seen)-len(f.text)+1):])
	return len(piece), false
}
