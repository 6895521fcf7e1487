package pki

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newSealer(t *testing.T, clusterID string) (*CA, *Sealer) {
	t.Helper()
	ca, err := NewCA(clusterID, time.Now())
	require.NoError(t, err)
	s, err := ca.Sealer()
	require.NoError(t, err)
	return ca, s
}

func TestSealedTextOpensForItsUseWithItsKeyAlone(t *testing.T) {
	ca, s := newSealer(t, "one")
	_, other := newSealer(t, "one")
	secret := []byte("s3cr3t-key-of-the-cloud")
	sealed, err := s.Seal("metric-source/a", secret)
	require.NoError(t, err)
	require.NotContains(t, string(sealed.Ciphertext), "s3cr3t")
	opened, err := s.Open("metric-source/a", sealed)
	require.NoError(t, err)
	require.Equal(t, secret, opened)

	again, err := parseCA(ca.CertPEM(), ca.KeyPEM())
	require.NoError(t, err)
	same, err := again.Sealer()
	require.NoError(t, err)
	opened, err = same.Open("metric-source/a", sealed)
	require.NoError(t, err, "every controller can")
	require.Equal(t, secret, opened)

	_, err = s.Open("metric-source/b", sealed)
	require.ErrorIs(t, err, ErrSeal, "it is bound to what it is of")
	_, err = other.Open("metric-source/a", sealed)
	require.ErrorIs(t, err, ErrSeal)
	require.ErrorContains(t, err, "its authority changed: give the secret again")
	forged := sealed
	forged.KeyID = other.KeyID()
	_, err = other.Open("metric-source/a", forged)
	require.ErrorIs(t, err, ErrSeal)
	for i := range sealed.Ciphertext {
		damaged := sealed
		damaged.Ciphertext = bytes.Clone(sealed.Ciphertext)
		damaged.Ciphertext[i] ^= 1
		_, err = s.Open("metric-source/a", damaged)
		require.ErrorIs(t, err, ErrSeal, "byte %d", i)
	}
	_, err = s.Open("metric-source/a", Sealed{KeyID: s.KeyID(), Nonce: []byte{1}})
	require.ErrorIs(t, err, ErrSeal)
}

func TestFingerprintsTellSecretsApartAndNothingElse(t *testing.T) {
	ca, s := newSealer(t, "one")
	_, other := newSealer(t, "one")
	same, err := ca.Sealer()
	require.NoError(t, err)
	require.Equal(t, s.Fingerprint("a", []byte("x")), same.Fingerprint("a", []byte("x")))
	require.NotEqual(t, s.Fingerprint("a", []byte("x")), s.Fingerprint("a", []byte("y")))
	require.NotEqual(t, s.Fingerprint("a", []byte("x")), s.Fingerprint("b", []byte("x")), "not that two sources share one")
	require.NotEqual(t, s.Fingerprint("a", []byte("x")), other.Fingerprint("a", []byte("x")), "it takes the key to try")
	one, err := s.Seal("a", []byte("x"))
	require.NoError(t, err)
	two, err := s.Seal("a", []byte("x"))
	require.NoError(t, err)
	require.NotEqual(t, one.Ciphertext, two.Ciphertext)
}
