package domainxml

import (
	"encoding/xml"
	"unicode/utf8"
)

// escapes are the characters of ASCII that are not written as they are; control characters that XML forbids become the
// replacement character, as encoding/xml has it.
var escapes = func() (table [utf8.RuneSelf]string) {
	for c := range ' ' {
		table[c] = "\uFFFD"
	}
	for c, s := range map[rune]string{'"': "&#34;", '\'': "&#39;", '&': "&amp;", '<': "&lt;", '>': "&gt;", '\t': "&#x9;", '\n': "&#xA;", '\r': "&#xD;"} {
		table[c] = s
	}
	return table
}()

// escape appends text that cannot end the attribute or element that it stands in. From the first character beyond
// ASCII on, encoding/xml does it.
func (w *writer) escape(s string) {
	done := 0
	for i := range len(s) {
		c := s[i]
		if c >= utf8.RuneSelf {
			w.buf = append(w.buf, s[done:i]...)
			_ = xml.EscapeText(w, []byte(s[i:])) // a buffer takes everything
			return
		}
		if e := escapes[c]; e != "" {
			w.buf = append(append(w.buf, s[done:i]...), e...)
			done = i + 1
		}
	}
	w.buf = append(w.buf, s[done:]...)
}

// Write makes a writer an io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	return len(p), nil
}
