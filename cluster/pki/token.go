package pki

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"log/slog"
	"strings"
	"time"
)

const (
	// MaxTokenTTL is the longest life of a join token: it is made to be used at once.
	MaxTokenTTL = 15 * time.Minute

	tokenVersion  = "nct1"
	tokenIDLen    = 10 // bytes; 16 characters
	tokenKeyLen   = 20 // bytes, 160 bits; 32 characters
	fingerprintHx = 2 * sha256.Size
)

// Token is a parsed join token. Printing it does not show the secret.
type Token struct {
	// ID finds the record; it is no secret.
	ID string
	// Secret has 160 random bits.
	Secret []byte
	// CAFingerprint tells the joiner which cluster to trust.
	CAFingerprint string
}

// String shows the id only.
func (t Token) String() string { return tokenVersion + "." + t.ID + ".…" }

// GoString shows the id only.
func (t Token) GoString() string { return t.String() }

// LogValue shows the id only.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// TokenRecord is what the cluster keeps of a token: enough to check it, not enough to use it.
type TokenRecord struct {
	ID string
	// SecretHash is the SHA-256 of id and secret. No slow hash is needed: the secret has 160 random bits.
	SecretHash []byte
	Role       Role
	// NodeName is the only node that may use the token; "" lets any.
	NodeName string
	Expires  time.Time
}

// NewToken makes a join token for one node of the given role, valid for ttl (at most MaxTokenTTL) from now. The text
// goes to the joiner, `nct1.<id>.<secret>.<CA fingerprint>.<checksum>`; the record into the replicated state.
func NewToken(role Role, ttl time.Duration, nodeName, caFingerprint string, now time.Time) (string, TokenRecord, error) {
	if ttl <= 0 || ttl > MaxTokenTTL {
		return "", TokenRecord{}, fmt.Errorf("%w: join token: %s, more than 0 and at most %d min: make a new token when it is needed", ErrTTL, ttl, int(MaxTokenTTL.Minutes()))
	}
	if !role.Valid() {
		return "", TokenRecord{}, fmt.Errorf("%w: role %q", ErrBadIdentity, clip(string(role)))
	}
	if nodeName != "" {
		if err := ValidateNodeName(nodeName); err != nil {
			return "", TokenRecord{}, err
		}
	}
	if !isFingerprint(caFingerprint) {
		return "", TokenRecord{}, fmt.Errorf("%w: CA fingerprint %q is not %d lower-case hex digits", ErrTokenMalformed, clip(caFingerprint), fingerprintHx)
	}
	random := make([]byte, tokenIDLen+tokenKeyLen)
	if _, err := rand.Read(random); err != nil {
		return "", TokenRecord{}, fmt.Errorf("draw a join token: %w", err)
	}
	t := Token{ID: tokenEncoding().EncodeToString(random[:tokenIDLen]), Secret: random[tokenIDLen:], CAFingerprint: caFingerprint}
	rec := TokenRecord{ID: t.ID, SecretHash: t.hash(), Role: role, NodeName: nodeName, Expires: now.Add(ttl)}
	return t.text(), rec, nil
}

// ParseToken reads the text form strictly; blanks around it are allowed, as it is pasted. Every error is
// ErrTokenMalformed and shows nothing of the text, which may be a secret.
func ParseToken(text string) (Token, error) {
	f := strings.Split(strings.TrimSpace(text), ".")
	if len(f) != 5 || f[0] != tokenVersion {
		return Token{}, fmt.Errorf("%w: %d fields, want 5 that start with %q: copy the whole token", ErrTokenMalformed, len(f), tokenVersion)
	}
	_, idErr := decodeField(f[1], tokenIDLen)
	secret, secretErr := decodeField(f[2], tokenKeyLen)
	t := Token{ID: f[1], Secret: secret, CAFingerprint: f[3]}
	if idErr != nil || secretErr != nil || !isFingerprint(f[3]) || t.text() != strings.TrimSpace(text) {
		return Token{}, fmt.Errorf("%w: a field or the checksum is wrong: copy the token again", ErrTokenMalformed)
	}
	return t, nil
}

// Verify checks a presented token against its record. The secret is compared first and in constant time, so that a
// guesser learns nothing else about the record.
func (r TokenRecord) Verify(tok Token, nodeName string, now time.Time) error {
	idOK := subtle.ConstantTimeCompare([]byte(tok.ID), []byte(r.ID))
	if idOK&subtle.ConstantTimeCompare(tok.hash(), r.SecretHash) != 1 {
		return ErrTokenForged
	}
	if !now.Before(r.Expires) {
		return fmt.Errorf("%w: it ended at %s, now is %s: make a new one", ErrTokenExpired,
			r.Expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if r.NodeName != "" && r.NodeName != nodeName {
		return fmt.Errorf("%w: for %q, presented by %q", ErrTokenOtherNode, r.NodeName, clip(nodeName))
	}
	return nil
}

func (t Token) hash() []byte {
	sum := sha256.Sum256(append([]byte("novacron join token\n"+t.ID+"\n"), t.Secret...))
	return sum[:]
}

// text is the canonical form. The checksum tells a mistyped token from a guessed one, so that typing errors do not
// count as attacks.
func (t Token) text() string {
	body := strings.Join([]string{tokenVersion, t.ID, tokenEncoding().EncodeToString(t.Secret), t.CAFingerprint}, ".")
	return fmt.Sprintf("%s.%08x", body, crc32.ChecksumIEEE([]byte(body)))
}

func tokenEncoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

func decodeField(s string, want int) ([]byte, error) {
	b, err := tokenEncoding().DecodeString(s)
	if err == nil && len(b) != want {
		err = fmt.Errorf("%d bytes, want %d", len(b), want)
	}
	return b, err
}

func isFingerprint(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && strings.ToLower(s) == s
}
