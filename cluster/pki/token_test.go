package pki

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func testFingerprint() string { return strings.Repeat("0a", 32) }

// Attack 4, the part without memory: the cluster's state keeps what is used.
func TestAttack4Tokens(t *testing.T) {
	now := time.Now()
	text, rec, err := NewToken(RoleAgent, MaxTokenTTL, "hv-1", testFingerprint(), now)
	require.NoError(t, err)
	tok, err := ParseToken(" " + text + "\n")
	require.NoError(t, err)
	require.Equal(t, rec.ID, tok.ID)
	require.NoError(t, rec.Verify(tok, "hv-1", now))
	require.NoError(t, rec.Verify(tok, "hv-1", now.Add(MaxTokenTTL-1)))
	require.ErrorIs(t, rec.Verify(tok, "hv-1", now.Add(MaxTokenTTL)), ErrTokenExpired)
	require.ErrorIs(t, rec.Verify(tok, "hv-2", now), ErrTokenOtherNode)
	forged := tok
	forged.Secret = append([]byte(nil), tok.Secret...)
	forged.Secret[0] ^= 1
	require.ErrorIs(t, rec.Verify(forged, "hv-2", now.Add(time.Hour)), ErrTokenForged, "a guesser learns nothing else")
	other := tok
	other.ID = "x"
	require.ErrorIs(t, rec.Verify(other, "hv-1", now), ErrTokenForged)
	require.ErrorIs(t, TokenRecord{}.Verify(tok, "hv-1", now), ErrTokenForged)
}

func TestTokenRequests(t *testing.T) {
	for name, c := range map[string]struct {
		role Role
		ttl  time.Duration
		node string
		fp   string
		want error
	}{
		"too long":    {RoleAgent, MaxTokenTTL + 1, "", testFingerprint(), ErrTTL},
		"zero":        {RoleAgent, 0, "", testFingerprint(), ErrTTL},
		"role":        {"root", time.Minute, "", testFingerprint(), ErrBadIdentity},
		"name":        {RoleAgent, time.Minute, "a/b", testFingerprint(), ErrBadName},
		"fingerprint": {RoleAgent, time.Minute, "", "AA", ErrTokenMalformed},
	} {
		_, _, err := NewToken(c.role, c.ttl, c.node, c.fp, time.Now())
		require.ErrorIs(t, err, c.want, name)
	}
	_, _, err := NewToken(RoleAgent, time.Hour, "", testFingerprint(), time.Now())
	require.ErrorContains(t, err, "15 min")
	_, rec, err := NewToken(RoleAgent, time.Minute, "", testFingerprint(), time.Now())
	require.NoError(t, err)
	require.Empty(t, rec.NodeName)
}

// Any one character changed makes the text malformed or the secret wrong; it never verifies.
func TestMistypedTokenNeverVerifies(t *testing.T) {
	text, rec, err := NewToken(RoleAgent, time.Minute, "", testFingerprint(), time.Now())
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		b := []byte(text)
		if b[i] = rapid.Byte().Draw(t, "byte"); string(b) == text {
			return
		}
		_, err := ParseToken(string(b))
		require.ErrorIs(t, err, ErrTokenMalformed)
		require.NotContains(t, err.Error(), strings.Split(text, ".")[2][:8])
	})
	_, err = ParseToken(strings.ToUpper(text))
	require.ErrorIs(t, err, ErrTokenMalformed)
	require.Len(t, rec.SecretHash, 32)
}

func FuzzParseToken(f *testing.F) {
	text, _, err := NewToken(RoleAgent, time.Minute, "", testFingerprint(), time.Now())
	require.NoError(f, err)
	f.Add(text)
	f.Add("nct1....")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := ParseToken(s)
		if err != nil {
			require.ErrorIs(t, err, ErrTokenMalformed)
			return
		}
		require.Equal(t, strings.TrimSpace(s), tok.text())
	})
}

// Attack 5: a thousand guesses.
func TestAttack5GuessesAreThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(5, time.Minute, 100)
		_, rec, err := NewToken(RoleAgent, MaxTokenTTL, "", testFingerprint(), time.Now())
		require.NoError(t, err)
		judged := 0
		for i := range 1000 {
			retry, ok := th.Attempt("192.0.2.1:" + strconv.Itoa(1000+i))
			if !ok {
				require.Equal(t, time.Minute, retry)
				continue
			}
			judged++
			require.ErrorIs(t, rec.Verify(Token{ID: rec.ID, Secret: []byte{byte(i)}}, "", time.Now()), ErrTokenForged)
		}
		require.Equal(t, 5, judged)
		_, ok := th.Attempt("192.0.2.2:1")
		require.True(t, ok, "others are not punished")
		<-time.After(time.Minute)
		_, ok = th.Attempt("192.0.2.1:9")
		require.True(t, ok, "the window has passed")
	})
}

func TestThrottleIsBoundedAndForgivesSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(2, time.Minute, 10)
		for i := range 1000 {
			th.Attempt(net.IPv4(10, 0, byte(i>>8), byte(i)).String())
		}
		require.Equal(t, 10, th.Len())
		for range 10 {
			_, ok := th.Attempt("192.0.2.1:1")
			require.True(t, ok)
			th.Succeeded("192.0.2.1:2")
		}
		th.Succeeded("192.0.2.9:1")
		th.Attempt("[2001:db8::1%eth0]:1")
		th.Attempt("[2001:db8::2]:1")
		_, ok := th.Attempt("[2001:db8::3]:1")
		require.False(t, ok, "one host owns a /64")
		_, ok = th.Attempt("[2001:db8:0:1::3]:1")
		require.True(t, ok)
		th.Attempt("pipe")
		th.Attempt("pipe")
		_, ok = th.Attempt("pipe")
		require.False(t, ok)
		th.Attempt("::ffff:192.0.2.7")
		th.Attempt("192.0.2.7:5")
		_, ok = th.Attempt("192.0.2.7")
		require.False(t, ok)
	})
}

// The text form of version nct1: tokens of one release join nodes of the next.
func TestTokenFormat1(t *testing.T) {
	tok := Token{ID: "aaaqeayeaudaocaj", Secret: []byte("01234567890123456789"), CAFingerprint: testFingerprint()}
	const text = "nct1.aaaqeayeaudaocaj.gaytemzugu3doobzgaytemzugu3doobz." +
		"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a.66fa7269"
	require.Equal(t, text, tok.text())
	back, err := ParseToken(text)
	require.NoError(t, err)
	require.Equal(t, tok, back)
}
