package selector_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/vm/selector"
)

func TestConditions(t *testing.T) {
	have := map[string]string{"tier": "web", "env": "prod", "note": "moved, see ticket 7\nask \"ops\"", "empty": "", "a/b.c": "x=y", "in": "z"}
	for text, want := range map[string]bool{
		"": true, "  ": true, "tier": true, "nope": false, "!nope": true, "!tier": false, "! nope": true, "empty": true, "empty=": true,
		"tier=web": true, "tier==web": true, "tier = web": true, "tier=db": false, "nope=web": false, "tier=": false,
		"tier!=db": true, "tier!=web": false, "nope!=web": true, "a/b.c=x=y": true,
		"tier in (db,web)": true, "tier in(web)": true, "tier in (db)": false, "nope in (web)": false,
		"tier notin (db,web)": false, "tier notin (db)": true, "nope notin (web)": true, "in=z": true, "in": true, "in in (z)": true,
		"tier=web,env=prod": true, "tier=web, env=test": false, "tier=web,": true, "tier,env,!nope": true,
		"note~ticket 7": true, "note~TICKET": false, "nope~x": false, `note~"moved, see"`: true, `note~"\"ops\""`: true,
		`note="moved, see ticket 7\nask \"ops\""`: true, `tier in ("web", "a,b")`: true,
	} {
		s, err := selector.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, s.Matches(have), text)
	}
}

func TestWhatIsNoSelectorSaysWhereAndWhy(t *testing.T) {
	for text, why := range map[string]string{
		"=web": "a key is missing", ",": "a key is missing", "tier=web,,env": "a key is missing", "!": "a key is missing",
		"tier web": "a comma is missing", "tier in (web": "the list of values has no end", `tier="web`: "a quote has no end",
		`tier="web"x`: "a comma is missing", "(tier)": "a key is missing", "!tier=web": "a comma is missing",
		strings.Repeat("a,", 65): "more than 64 conditions", strings.Repeat("a", 4097): "4097 bytes, at most 4096",
	} {
		_, err := selector.Parse(text)
		require.ErrorContains(t, err, why, text)
	}
}

func TestAndEqual(t *testing.T) {
	web, err := selector.Parse("tier=web")
	require.NoError(t, err)
	both := selector.And(web, selector.Equal(map[string]string{"env": "prod"}))
	require.True(t, both.Matches(map[string]string{"tier": "web", "env": "prod"}))
	require.False(t, both.Matches(map[string]string{"tier": "web", "env": "test"}))
	require.True(t, selector.And().Matches(nil))
}

// TestAnyValueCanBeAskedFor: whatever a value holds, its quoted form finds it and nothing else.
func TestAnyValueCanBeAskedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value, other := rapid.String().Draw(t, "value"), rapid.String().Draw(t, "other")
		quoted := strconv.Quote(value)
		if len(quoted) > 4000 || value == other {
			return
		}
		for _, form := range []string{"k=", "k==", "k ~ ", "!x, k = "} {
			s, err := selector.Parse(form + quoted)
			require.NoError(t, err)
			require.True(t, s.Matches(map[string]string{"k": value}))
		}
		s, err := selector.Parse("k in (" + quoted + ")")
		require.NoError(t, err)
		require.False(t, s.Matches(map[string]string{"k": other}))
	})
}

func FuzzParse(f *testing.F) {
	f.Add(`a=b,!c,d in (e,"f,g"),h notin (i),j~"k"`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := selector.Parse(text)
		if err == nil {
			s.Matches(map[string]string{"a": "b"})
		}
	})
}
