package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// JoinTLS is what a node uses to join: it has no certificate and knows no CA, only the fingerprint in its token. It sends
// JoinServerName and trusts a server whose chain holds the CA of exactly that fingerprint and whose own certificate that
// CA signed for a controller. A malformed fingerprint trusts nobody.
func JoinTLS(caFingerprint string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         alpn(),
		ServerName:         JoinServerName,
		InsecureSkipVerify: true, //nolint:gosec // there is no CA to check against yet; VerifyConnection pins it
		VerifyConnection: func(cs tls.ConnectionState) error {
			return verifyPinned(cs.PeerCertificates, caFingerprint)
		},
	}
}

// JoinedCA gives the PEM form of the CA that a connection made with JoinTLS was pinned to.
func JoinedCA(cs *tls.ConnectionState, caFingerprint string) ([]byte, error) {
	if cs == nil {
		return nil, ErrNoCertificate
	}
	ca, err := pinnedCA(cs.PeerCertificates, caFingerprint)
	if err != nil {
		return nil, err
	}
	return encodePEM(pemCert, ca.Raw), nil
}

func verifyPinned(certs []*x509.Certificate, caFingerprint string) error {
	ca, err := pinnedCA(certs, caFingerprint)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	v := verifier{clusterID: ca.Subject.Organization[0], roots: roots, now: time.Now}
	_, err = v.check(certs, demand{usage: x509.ExtKeyUsageServerAuth, roles: []Role{RoleController}})
	return err
}

func pinnedCA(certs []*x509.Certificate, caFingerprint string) (*x509.Certificate, error) {
	for _, cert := range certs {
		if fingerprint(cert) == caFingerprint {
			return parseCACert(encodePEM(pemCert, cert.Raw))
		}
	}
	return nil, fmt.Errorf("%w: the server shows no CA with fingerprint %s: this is another cluster, or somebody in between; check the token",
		ErrWrongCA, clip(caFingerprint))
}
