package pki

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"path/filepath"
)

// Files of a key directory, below its link `current`.
const (
	FileCA        = "ca.pem"
	FileCAKey     = "ca-key.pem"
	FileNode      = "node.pem"
	FileNodeKey   = "node-key.pem"
	FileGossipKey = "gossip.key"
)

// GossipKeyLen is the length of the gossip key in bytes: AES-256.
const GossipKeyLen = 32

// Material is everything a member of the cluster holds to prove itself. Identity follows from CertPEM.
type Material struct {
	Identity
	CertPEM, KeyPEM, CAPEM []byte
	// GossipKey has GossipKeyLen bytes; nil for admins, operators and viewers.
	GossipKey []byte
	// CAKeyPEM is nil except on controllers.
	CAKeyPEM []byte
}

// NewGossipKey draws a gossip key.
func NewGossipKey() ([]byte, error) {
	key := make([]byte, GossipKeyLen)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("draw a gossip key: %w", err)
	}
	return key, nil
}

// SaveMaterial checks m and writes it below dir in one durable step: after a crash there is the old set or the new one.
// Directories are 0700, files 0600.
func SaveMaterial(dir string, m Material) error {
	if _, err := m.check(); err != nil {
		return err
	}
	return newSwapper(dir).swap(m.files())
}

func (m Material) files() map[string][]byte {
	return map[string][]byte{
		FileCA: m.CAPEM, FileCAKey: m.CAKeyPEM, FileNode: m.CertPEM, FileNodeKey: m.KeyPEM, FileGossipKey: m.GossipKey,
	}
}

// LoadMaterial reads what SaveMaterial wrote and checks that it fits together. An expired certificate still loads:
// its holder needs the identity to join again.
func LoadMaterial(dir string) (Material, error) {
	files, err := readFiles(dir)
	if err != nil {
		return Material{}, err
	}
	m := Material{
		CertPEM: files[FileNode], KeyPEM: files[FileNodeKey], CAPEM: files[FileCA],
		GossipKey: files[FileGossipKey], CAKeyPEM: files[FileCAKey],
	}
	if len(m.CertPEM) == 0 {
		return Material{}, fmt.Errorf("%w: no certificate in %s: join the cluster first", ErrBadMaterial, dir)
	}
	p, err := m.check()
	if err != nil {
		return Material{}, fmt.Errorf("%s: %w", dir, err)
	}
	m.Identity = p.id
	return m, nil
}

// check parses every part of m and proves that certificate, keys and CA belong together.
func (m Material) check() (*pair, error) {
	ca, err := parseCACert(m.CAPEM)
	if err != nil {
		return nil, err
	}
	if n := len(m.GossipKey); n != 0 && n != GossipKeyLen {
		return nil, fmt.Errorf("%w: gossip key has %d bytes, want %d", ErrBadMaterial, n, GossipKeyLen)
	}
	if len(m.CAKeyPEM) != 0 {
		if _, err := m.CA(); err != nil {
			return nil, err
		}
	}
	p, err := parsePair(m.CertPEM, m.KeyPEM, ca)
	if err != nil {
		return nil, err
	}
	if m.Identity != (Identity{}) && m.Identity != p.id {
		return nil, fmt.Errorf("%w: identity %s does not match its certificate's %s", ErrBadMaterial, m.Identity, p.id)
	}
	return p, nil
}

// CA gives a controller its authority; ErrBadMaterial when m holds no CA key.
func (m Material) CA() (*CA, error) { return parseCA(m.CAPEM, m.CAKeyPEM) }

// Save writes the authority's two files below dir beside what is there, in one durable step.
func (ca *CA) Save(dir string) error {
	return newSwapper(dir).swap(map[string][]byte{FileCA: ca.CertPEM(), FileCAKey: ca.keyPEM})
}

// LoadCA reads the authority from a directory of Save, or of SaveMaterial on a controller.
func LoadCA(dir string) (*CA, error) {
	files, err := readFiles(dir)
	if err != nil {
		return nil, err
	}
	if len(files[FileCAKey]) == 0 {
		return nil, fmt.Errorf("%w: no %s in %s", ErrBadMaterial, FileCAKey, filepath.Join(dir, currentLink))
	}
	return parseCA(files[FileCA], files[FileCAKey])
}

// LogValue keeps keys out of logs.
func (m Material) LogValue() slog.Value { return slog.StringValue(m.String()) }

// String names the holder only.
func (m Material) String() string { return "material of " + m.Identity.String() }

// GoString names the holder only.
func (m Material) GoString() string { return m.String() }

// pair is one certificate with its key, parsed and checked against the CA.
type pair struct {
	tls  tls.Certificate
	leaf *x509.Certificate
	id   Identity
}

func parsePair(certPEM, keyPEM []byte, ca *x509.Certificate) (*pair, error) {
	leaf, err := parseCertPEM(certPEM)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate: %w", ErrBadMaterial, err)
	}
	key, err := parseKeyPEM(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%w: key: %w", ErrBadMaterial, err)
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return nil, fmt.Errorf("%w: the key does not belong to the certificate", ErrBadMaterial)
	}
	if err := leaf.CheckSignatureFrom(ca); err != nil {
		return nil, fmt.Errorf("%w: %w: %w", ErrBadMaterial, ErrWrongCA, err)
	}
	id, err := IdentityFromCert(leaf)
	if err != nil {
		return nil, err
	}
	if id.ClusterID != ca.Subject.Organization[0] {
		return nil, fmt.Errorf("%w: %w: %q", ErrBadMaterial, ErrWrongCluster, id.ClusterID)
	}
	// Leaf and CA are sent together: a joiner knows the CA's fingerprint only.
	chain := tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.Raw}, PrivateKey: key, Leaf: leaf}
	return &pair{tls: chain, leaf: leaf, id: id}, nil
}
