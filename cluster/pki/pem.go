package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
)

const (
	pemCert = "CERTIFICATE"
	pemKey  = "PRIVATE KEY"
	pemCSR  = "CERTIFICATE REQUEST"
)

// maxPEM bounds what is parsed from a peer, in bytes: a P-256 certificate or request has about 1,000.
const maxPEM = 16 << 10

// decodePEM reads exactly one block of the given type with nothing but white space around it.
func decodePEM(kind string, data []byte) ([]byte, error) {
	if len(data) > maxPEM {
		return nil, fmt.Errorf("PEM %s has %d bytes, at most %d", kind, len(data), maxPEM)
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != kind || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("not exactly one PEM block of type %q", kind)
	}
	return block.Bytes, nil
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func parseCertPEM(data []byte) (*x509.Certificate, error) {
	der, err := decodePEM(pemCert, data)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func parseKeyPEM(data []byte) (*ecdsa.PrivateKey, error) {
	der, err := decodePEM(pemKey, data)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("private key is %T, want ECDSA", key)
	}
	return ec, nil
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return key, encodePEM(pemKey, der), err
}

// NewKeyAndCSR makes a fresh P-256 key and a request that carries its public key and nothing else:
// the signer decides every name.
func NewKeyAndCSR() (keyPEM, csrPEM []byte, err error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, nil, fmt.Errorf("make a signing request: %w", err)
	}
	return keyPEM, encodePEM(pemCSR, der), nil
}

// parseCSR returns the public key of a request after checking that the sender holds the private one.
// Everything else in the request is ignored.
func parseCSR(csrPEM []byte) (*ecdsa.PublicKey, error) {
	der, err := decodePEM(pemCSR, csrPEM)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCSR, err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCSR, err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: signature: %w", ErrBadCSR, err)
	}
	pub, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: key is %T: use ECDSA P-256", ErrBadCSR, csr.PublicKey)
	}
	return pub, nil
}

// Fingerprint is the lower-case hex SHA-256 of a PEM certificate's DER form, 64 characters.
func Fingerprint(certPEM []byte) (string, error) {
	cert, err := parseCertPEM(certPEM)
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	return fingerprint(cert), nil
}

func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}
