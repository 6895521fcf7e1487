package forward

import (
	"strings"
	"unicode"
)

// maxError bounds a text that is told of a forward, in bytes.
const maxError = 512

// Clean makes a text that may come from a remote fit to be told: it is valid UTF-8, as messages of the cluster have to be,
// has nothing that writes on the terminals of those who read it, and is at most 512 bytes long.
func Clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "") // a rune that was cut goes
	}
	return strings.TrimSpace(text)
}
