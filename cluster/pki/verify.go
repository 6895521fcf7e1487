package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// verifier holds what every handshake is checked against.
type verifier struct {
	clusterID string
	roots     *x509.CertPool
	revoked   func(nodeID, serialHex string) bool
	now       func() time.Time
}

// demand is what one end of a handshake wants of the other.
type demand struct {
	usage x509.ExtKeyUsage
	// roles are the accepted ones; anyRole overrides them.
	roles   []Role
	anyRole bool
	// nodeID is the only accepted node, "" for any.
	nodeID string
}

// check verifies a peer's chain, cluster, role and revocation. The identity is returned even with most errors,
// for the audit trail; it is proven only when the error is nil or about role, node or revocation.
func (v verifier) check(certs []*x509.Certificate, want demand) (Identity, error) {
	if len(certs) == 0 {
		return Identity{}, ErrNoCertificate
	}
	leaf := certs[0]
	id, idErr := IdentityFromCert(leaf)
	if err := v.chain(leaf, want.usage); err != nil {
		return id, err
	}
	if idErr != nil {
		return id, idErr
	}
	return id, v.allowed(id, leaf, want)
}

// chain accepts only what the CA signed itself: whatever else the peer sent is no path.
func (v verifier) chain(leaf *x509.Certificate, usage x509.ExtKeyUsage) error {
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         v.roots,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   v.now(),
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return fmt.Errorf("%w: valid from %s to %s, the clock here says %s: renew it, or correct the clock", ErrExpired,
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339), v.now().UTC().Format(time.RFC3339))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWrongCA, err)
	}
	return nil
}

func (v verifier) allowed(id Identity, leaf *x509.Certificate, want demand) error {
	switch {
	case id.ClusterID != v.clusterID:
		return fmt.Errorf("%w: %q, here is %q", ErrWrongCluster, id.ClusterID, v.clusterID)
	case !want.anyRole && !slices.Contains(want.roles, id.Role):
		return fmt.Errorf("%w: %s, accepted are %q", ErrWrongRole, id, want.roles)
	case want.nodeID != "" && id.NodeID != want.nodeID:
		return fmt.Errorf("%w: dialled %s, reached %s", ErrWrongNode, want.nodeID, id)
	case v.revoked != nil && v.revoked(id.NodeID, serialHex(leaf)):
		return fmt.Errorf("%w: %s, serial %s", ErrRevoked, id, serialHex(leaf))
	}
	return nil
}

// serialHex is the form in which serial numbers are shown and revoked: lower-case hex.
func serialHex(cert *x509.Certificate) string { return cert.SerialNumber.Text(16) }
