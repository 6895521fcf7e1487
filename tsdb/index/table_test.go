package index

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestTableIsAMap compares a table, whose hashes collide often, with a map.
func TestTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table table
		known := map[uint32]uint32{} // hashes by ref
		hashes := rapid.SampledFrom([]uint32{0, 1, 2, 1 << 29, 1<<29 + 1, 1<<32 - 1, 1<<32 - 2, 7 << 29})
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "count") {
					ref := rapid.Uint32Range(1, 1000).Draw(t, "ref")
					if _, there := known[ref]; !there {
						known[ref] = hashes.Draw(t, "hash")
						table.insert(known[ref], ref)
					}
				}
			},
			"remove": func(t *rapid.T) {
				for ref, hash := range known {
					if rapid.IntRange(0, 2).Draw(t, "keep") > 0 {
						require.True(t, table.remove(hash, ref))
						delete(known, ref)
						require.False(t, table.remove(hash, ref))
					}
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(known), table.n)
				for ref, hash := range known {
					require.Equal(t, ref, table.find(hash, func(r uint32) bool { return r == ref }))
				}
				require.Zero(t, table.find(5<<29, func(uint32) bool { return true }))
			},
		})
	})
}

// TestSlabKeepsTexts puts and releases texts of all lengths; none may be touched by another, and all pages go back.
func TestSlabKeepsTexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s slab
		kept := map[uint32]string{}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				letter := rapid.StringN(1, 1, 1).Draw(t, "letter")
				for range rapid.IntRange(1, 40).Draw(t, "count") {
					text := strings.Repeat(letter, rapid.SampledFrom([]int{0, 1, 3, 4, 7, 60, 63, 64, 126, 127, 128, 500, 4096, 9000, 70_000}).Draw(t, "length"))
					ref := s.putString(text)
					require.NotContains(t, kept, ref)
					require.NotZero(t, ref)
					kept[ref] = text
				}
			},
			"release": func(t *rapid.T) {
				for ref := range kept {
					if rapid.Bool().Draw(t, "leaves") {
						s.release(ref)
						delete(kept, ref)
					}
				}
			},
			"": func(t *rapid.T) {
				for ref, text := range kept {
					require.Equal(t, text, s.text(ref))
				}
			},
		})
		for ref := range kept {
			s.release(ref)
		}
		for number := range s.pages.len() {
			require.Nil(t, s.pages.get(number))
		}
	})
}
