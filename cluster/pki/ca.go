package pki

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"time"
)

const (
	// MaxNodeTTL is the longest life of an agent's or controller's certificate. Nodes renew by themselves at two thirds
	// of it, so a stolen one is worth a day at most and nobody has to remember a renewal.
	MaxNodeTTL = 24 * time.Hour
	// MaxClientTTL is the longest life of an admin's, operator's or viewer's certificate: people do not renew every day,
	// and theirs can be revoked.
	MaxClientTTL = 90 * 24 * time.Hour
	// ClockSkew is how far a certificate's start is backdated, so that a node whose clock is behind can use it at once.
	ClockSkew = 5 * time.Minute

	caYears = 10
	caName  = "NovaCron cluster CA"
)

// MaxTTL is the longest, and the default, life of a certificate of this role.
func MaxTTL(role Role) time.Duration {
	if role.IsNode() {
		return MaxNodeTTL
	}
	return MaxClientTTL
}

// CA signs the certificates of one cluster. Only controllers hold it.
type CA struct {
	clusterID string
	cert      *x509.Certificate
	key       *ecdsa.PrivateKey
	keyPEM    []byte
}

// NewCA makes the authority of a new cluster: ECDSA P-256, valid for 10 years, unable to sign further authorities.
func NewCA(clusterID string, now time.Time) (*CA, error) {
	if err := validateName("cluster id", clusterID); err != nil {
		return nil, err
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("make the CA's key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	tmpl := caTemplate(clusterID, serial, now)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign the CA's certificate: %w", err)
	}
	return parseCA(encodePEM(pemCert, der), keyPEM)
}

func caTemplate(clusterID string, serial *big.Int, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: caName, Organization: []string{clusterID}},
		NotBefore:             now.Add(-ClockSkew),
		NotAfter:              now.AddDate(caYears, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func parseCA(certPEM, keyPEM []byte) (*CA, error) {
	cert, err := parseCACert(certPEM)
	if err != nil {
		return nil, err
	}
	key, err := parseKeyPEM(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%w: CA key: %w", ErrBadMaterial, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%w: the CA's key does not belong to its certificate: restore both from one backup", ErrBadMaterial)
	}
	return &CA{clusterID: cert.Subject.Organization[0], cert: cert, key: key, keyPEM: keyPEM}, nil
}

func parseCACert(certPEM []byte) (*x509.Certificate, error) {
	cert, err := parseCertPEM(certPEM)
	if err != nil {
		return nil, fmt.Errorf("%w: CA certificate: %w", ErrBadMaterial, err)
	}
	if !cert.IsCA || len(cert.Subject.Organization) != 1 {
		return nil, fmt.Errorf("%w: certificate %q is no NovaCron CA", ErrBadMaterial, clip(cert.Subject.CommonName))
	}
	return cert, validateName("cluster id", cert.Subject.Organization[0])
}

// ClusterID is the id of the cluster that the authority signs for.
func (ca *CA) ClusterID() string { return ca.clusterID }

// CertPEM is the public certificate.
func (ca *CA) CertPEM() []byte { return encodePEM(pemCert, ca.cert.Raw) }

// KeyPEM is the private key, for another controller's Material.
func (ca *CA) KeyPEM() []byte { return append([]byte(nil), ca.keyPEM...) }

// Fingerprint is the hex SHA-256 of the certificate's DER form; join tokens carry it.
func (ca *CA) Fingerprint() string { return fingerprint(ca.cert) }

// Sign issues a certificate for id. The request contributes its public key only, after its signature is checked;
// every name comes from id and hosts (DNS names and IP addresses, for browsers). A ttl of 0 means MaxTTL(id.Role);
// a longer one is ErrTTL. The certificate never outlives the CA.
func (ca *CA) Sign(csrPEM []byte, id Identity, hosts []string, ttl time.Duration, now time.Time) ([]byte, error) {
	pub, err := parseCSR(csrPEM)
	if err != nil {
		return nil, err
	}
	tmpl, err := ca.template(id, hosts, ttl, now)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, pub, ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", id, err)
	}
	return encodePEM(pemCert, der), nil
}

func (ca *CA) template(id Identity, hosts []string, ttl time.Duration, now time.Time) (*x509.Certificate, error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	if id.ClusterID != ca.clusterID {
		return nil, fmt.Errorf("%w: asked for cluster %q, this CA signs for %q", ErrWrongCluster, id.ClusterID, ca.clusterID)
	}
	notAfter, err := ca.notAfter(id.Role, ttl, now)
	if err != nil {
		return nil, err
	}
	dns, ips, err := splitHosts(hosts)
	if err != nil {
		return nil, err
	}
	if id.Role.IsNode() {
		dns = append(dns, ServerName(id.Name))
	}
	serial, err := newSerial()
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: id.Name},
		NotBefore:             now.Add(-ClockSkew),
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           extKeyUsage(id.Role),
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{id.uri()},
		DNSNames:              dns,
		IPAddresses:           ips,
	}, err
}

// ServerName is in the certificate of each node, for clients that are not ours and check names as the web does, such as a
// Prometheus that writes to an agent. Ours check the identity.
func ServerName(node string) string { return strings.ToLower(node) + ".novacron.internal" }

func (ca *CA) notAfter(role Role, ttl time.Duration, now time.Time) (time.Time, error) {
	limit := MaxTTL(role)
	if ttl == 0 {
		ttl = limit
	}
	if ttl < 0 || ttl > limit {
		return time.Time{}, fmt.Errorf("%w: certificate for role %s: %s, at most %s", ErrTTL, role, ttl, limit)
	}
	if !now.Before(ca.cert.NotAfter) {
		return time.Time{}, fmt.Errorf("%w: the CA's own certificate ended at %s", ErrExpired, ca.cert.NotAfter)
	}
	if end := now.Add(ttl); end.Before(ca.cert.NotAfter) {
		return end, nil
	}
	return ca.cert.NotAfter, nil
}

// extKeyUsage lets nodes serve and dial, people only dial: a stolen admin certificate cannot pose as a controller.
func extKeyUsage(role Role) []x509.ExtKeyUsage {
	if role.IsNode() {
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	}
	return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

// maxHosts bounds a certificate's size, and so every handshake's.
const maxHosts = 32

func splitHosts(hosts []string) (dns []string, ips []net.IP, err error) {
	if len(hosts) > maxHosts {
		return nil, nil, fmt.Errorf("%w: %d host names, at most %d", ErrBadName, len(hosts), maxHosts)
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			ips = append(ips, ip)
			continue
		}
		if err := validateHost(h); err != nil {
			return nil, nil, err
		}
		dns = append(dns, h)
	}
	return dns, ips, nil
}

// validateHost allows plain DNS names only: no wildcard, which could stand for another node.
func validateHost(h string) error {
	if len(h) > 253 {
		return fmt.Errorf("%w: host name %q has %d bytes, at most 253", ErrBadName, clip(h), len(h))
	}
	for label := range strings.SplitSeq(h, ".") {
		if err := validateName("label of host name "+clip(h), label); err != nil {
			return err
		}
	}
	return nil
}

// newSerial draws 127 random bits: unguessable, never zero in practice, and positive in 16 bytes.
func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}
