package query

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSlots(t *testing.T) {
	at := time.UnixMilli(1_800_000_000_123)
	pad := func(slot []byte) []byte { return append(slot, make([]byte, slotSize-len(slot))...) }
	long := Running{strings.Repeat("ä", 2000), at}
	file := pad(appendSlot(nil, Running{"a", at}))
	file = append(file, make([]byte, slotSize)...) // empty
	torn := pad(appendSlot(nil, Running{"torn", at}))
	torn[slotHeader] = 'T'
	file = append(file, torn...)
	file = append(file, pad(appendSlot(nil, long))...)
	file = append(file, appendSlot(nil, Running{"last", at})...)
	got := parseSlots(file)
	require.Len(t, got, 3)
	assert.Equal(t, Running{"a", at}, got[0])
	assert.True(t, utf8.ValidString(got[1].Query))
	assert.Len(t, got[1].Query, slotSize-slotHeader)
	assert.Equal(t, Running{"last", at}, got[2])
}

func FuzzParseSlots(f *testing.F) {
	f.Add(appendSlot(nil, Running{"up", time.UnixMilli(1)}))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, r := range parseSlots(file) {
			if r.Query == "" || len(r.Query) > slotSize {
				t.Errorf("a query of %d bytes", len(r.Query))
			}
		}
	})
}
