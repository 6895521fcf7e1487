package pki

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrSeal means that something sealed cannot be opened: it was sealed with another key, for something else, or changed.
var ErrSeal = errors.New("sealed text cannot be opened")

// Labels that tell the uses of what is derived from the authority's key apart.
const (
	sealInfo        = "novacron secrets: seal v1"
	fingerprintInfo = "novacron secrets: fingerprint v1"
)

// sealKeyIDLen and fingerprintLen are the lengths, in bytes, of what is told of keys and secrets.
const (
	sealKeyIDLen   = 8
	fingerprintLen = 8
)

// Sealer encrypts small secrets that the cluster keeps: what it writes can be replicated, snapshotted and backed up, and is
// worth nothing without a controller's keys. Its key comes, by HKDF-SHA256, from the private key of the authority, which
// controllers alone hold: it needs no file of its own, and whoever changes the authority changes it, too. It is safe
// for concurrent use.
type Sealer struct {
	aead  cipher.AEAD
	mark  []byte
	keyID string
}

// Sealed is a secret that only controllers can open.
type Sealed struct {
	// KeyID says which key it takes.
	KeyID             string
	Nonce, Ciphertext []byte
}

// Sealer gives the authority's sealer.
func (ca *CA) Sealer() (*Sealer, error) {
	private, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key: %w", err)
	}
	salt := []byte(ca.clusterID)
	key, err := hkdf.Key(sha256.New, private, salt, sealInfo, 32)
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key: %w", err)
	}
	mark, err := hkdf.Key(sha256.New, private, salt, fingerprintInfo, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key: %w", err)
	}
	id := hmac.New(sha256.New, mark)
	id.Write([]byte("key id"))
	return &Sealer{aead: aead, mark: mark, keyID: hex.EncodeToString(id.Sum(nil)[:sealKeyIDLen])}, nil
}

// KeyID names the key of the sealer; it tells nothing of the key.
func (s *Sealer) KeyID() string { return s.keyID }

// Seal encrypts a secret for one use, such as the source that it is of: nothing opens it for another.
func (s *Sealer) Seal(use string, secret []byte) (Sealed, error) {
	nonce := make([]byte, s.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return Sealed{}, fmt.Errorf("seal the secret of %s: %w", use, err)
	}
	return Sealed{KeyID: s.keyID, Nonce: nonce, Ciphertext: s.aead.Seal(nil, nonce, secret, s.bound(use))}, nil
}

// Open gives the secret back; ErrSeal tells why it cannot.
func (s *Sealer) Open(use string, sealed Sealed) ([]byte, error) {
	if sealed.KeyID != s.keyID {
		return nil, fmt.Errorf("%w: the secret of %s takes key %s, this cluster has %s since its authority changed: give the secret again", ErrSeal, use, clip(sealed.KeyID), s.keyID)
	}
	if len(sealed.Nonce) != s.aead.NonceSize() {
		return nil, fmt.Errorf("%w: the secret of %s is damaged: give it again", ErrSeal, use)
	}
	secret, err := s.aead.Open(nil, sealed.Nonce, sealed.Ciphertext, s.bound(use))
	if err != nil {
		return nil, fmt.Errorf("%w: the secret of %s is damaged or was sealed for something else: give it again", ErrSeal, use)
	}
	return secret, nil
}

// Fingerprint tells equal secrets of one use apart from others, without telling anything to who does not have the key:
// it cannot be found by trying.
func (s *Sealer) Fingerprint(use string, secret []byte) string {
	sum := hmac.New(sha256.New, s.mark)
	sum.Write(s.bound(use))
	sum.Write([]byte{0})
	sum.Write(secret)
	return hex.EncodeToString(sum.Sum(nil)[:fingerprintLen])
}

// bound is what a secret is tied to.
func (s *Sealer) bound(use string) []byte { return []byte(s.keyID + "\x00" + use) }
