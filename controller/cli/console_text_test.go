package cli

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestFinderFindsAcrossPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab]{1,4}`).Draw(t, "text")
		stream := rapid.StringMatching(`[ab]{0,40}`).Draw(t, "stream")
		f := newFinder(text)
		var shown strings.Builder
		found := false
		for rest := stream; rest != "" && !found; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			var end int
			end, found = f.feed([]byte(rest[:n]))
			shown.WriteString(rest[:end])
			rest = rest[n:]
		}
		before, _, want := strings.Cut(stream, text)
		require.Equal(t, want, found)
		if want {
			require.Equal(t, before+text, shown.String())
		} else {
			require.Equal(t, stream, shown.String())
		}
	})
}

func TestReadKeys(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		escapes, left  bool
	}{
		{"escape", "ls\r\x1dmore", "ls\r", true, true},
		{"escape first", "\x1d", "", true, true},
		{"pipe", "a\x1db", "a\x1db", false, false},
		{"end", "ls", "ls", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, leave := context.WithCancelCause(t.Context())
			keys := make(chan []byte, 10)
			readKeys(ctx, strings.NewReader(c.in), keys, c.escapes, leave)
			close(keys)
			var got []byte
			for data := range keys {
				got = append(got, data...)
			}
			require.Equal(t, c.want, string(got))
			require.Equal(t, c.left, errors.Is(context.Cause(ctx), errDetached))
		})
	}
}
