package pki

import (
	"crypto/x509"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the hooks of Credentials; the zero value is usable.
type Options struct {
	// Dir is where Replace persists, a directory of SaveMaterial; "" keeps renewals in memory.
	Dir string
	// Revoked is asked on every handshake, resumed or not. It must be fast and safe for concurrent use.
	Revoked func(nodeID, serialHex string) bool
	// Refused is told of every refused handshake, for the audit trail. remote is the peer's address on a server and the
	// dialled name on a client; id is as claimed, and empty where the certificate could not be read.
	// It runs inside the handshake: it must not block.
	Refused func(remote string, id Identity, reason error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Credentials prove this member to others and check them. Its TLS configurations follow Replace by themselves.
// All methods are safe for concurrent use.
type Credentials struct {
	opts    Options
	caCert  *x509.Certificate
	check   verifier
	current atomic.Pointer[pair]

	mu       sync.Mutex // serialises Replace; guards material
	material Material
}

// NewCredentials checks that m fits together and holds it. An expired certificate is accepted here and refused by peers.
func NewCredentials(m Material, opts Options) (*Credentials, error) {
	p, err := m.check()
	if err != nil {
		return nil, err
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	m.Identity = p.id
	c := &Credentials{opts: opts, material: m}
	if c.caCert, err = parseCACert(m.CAPEM); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.caCert)
	c.check = verifier{clusterID: p.id.ClusterID, roots: roots, revoked: opts.Revoked, now: opts.Now}
	c.current.Store(p)
	return c, nil
}

// Identity is who this member is; it never changes.
func (c *Credentials) Identity() Identity { return c.current.Load().id }

// Expires is when the current certificate ends.
func (c *Credentials) Expires() time.Time { return c.current.Load().leaf.NotAfter }

// SerialHex is the current certificate's serial number as Options.Revoked sees it.
func (c *Credentials) SerialHex() string { return serialHex(c.current.Load().leaf) }

// CAFingerprint is the hex SHA-256 of the CA's certificate, for join tokens.
func (c *Credentials) CAFingerprint() string { return fingerprint(c.caCert) }

// Material is a copy of what is held now.
func (c *Credentials) Material() Material {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.material
}

// Replace persists a renewed certificate and its key, then uses them for every handshake from here on; connections that
// are open stay open. The identity must be the same, the certificate of this CA and valid now, or nothing changes. When only
// the write fails the new pair is used all the same, since a full disk should not cut a node off, and the error is returned.
func (c *Credentials) Replace(certPEM, keyPEM []byte) error {
	p, err := parsePair(certPEM, keyPEM, c.caCert)
	if err != nil {
		return fmt.Errorf("replace certificate: %w", err)
	}
	if old := c.Identity(); p.id != old {
		return fmt.Errorf("replace certificate: %w: it is for %s (%s), this is %s (%s)", ErrBadIdentity, p.id, p.id.Name, old, old.Name)
	}
	if err := c.check.chain(p.leaf, x509.ExtKeyUsageClientAuth); err != nil {
		return fmt.Errorf("replace certificate: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.material.CertPEM, c.material.KeyPEM = certPEM, keyPEM
	defer c.current.Store(p)
	if c.opts.Dir == "" {
		return nil
	}
	if err := SaveMaterial(c.opts.Dir, c.material); err != nil {
		return fmt.Errorf("replace certificate: in use, but a restart would lose it: %w", err)
	}
	return nil
}

func (c *Credentials) refused(remote string, id Identity, err error) {
	if c.opts.Refused != nil {
		c.opts.Refused(remote, id, err)
	}
}
