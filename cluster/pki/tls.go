package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// JoinServerName is the server name (SNI) that a joining node sends: it has no certificate yet, so such connections need
// none, and the HTTP layer must give them nothing but the join call. See IsJoin.
const JoinServerName = "join.novacron.internal"

// alpn lists the protocols of every NovaCron port.
func alpn() []string { return []string{"h2", "http/1.1"} }

// IsJoin reports whether a connection came in by the joining door, without a certificate.
func IsJoin(cs *tls.ConnectionState) bool {
	return cs != nil && cs.ServerName == JoinServerName && len(cs.PeerCertificates) == 0
}

// ServerTLS is the configuration of a port that every role may reach: TLS 1.3, a valid certificate of this cluster
// required. On controllers, connections with the server name JoinServerName need no certificate.
func (c *Credentials) ServerTLS() *tls.Config {
	return c.serverTLS(demand{usage: x509.ExtKeyUsageClientAuth, anyRole: true}, c.Identity().Role == RoleController)
}

// PeerTLS is the configuration of a port for the given roles only: others fail in the handshake, before a byte of the
// protocol behind it is read (CVE-2021-37218: a Raft port that took every certificate of the CA). Without roles it
// refuses everyone. It has no joining door.
func (c *Credentials) PeerTLS(roles ...Role) *tls.Config {
	return c.serverTLS(demand{usage: x509.ExtKeyUsageClientAuth, roles: roles}, false)
}

// serverTLS builds the outer configuration. It is strict by itself; each handshake gets its own inner one,
// which knows the remote address for the audit trail.
func (c *Credentials) serverTLS(want demand, join bool) *tls.Config {
	outer := c.baseTLS()
	outer.ClientAuth = tls.RequireAndVerifyClientCert
	outer.ClientCAs = c.check.roots
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if join && hello.ServerName == JoinServerName {
			return c.joinServerTLS(), nil
		}
		return c.strictServerTLS(want, hello.Conn.RemoteAddr().String()), nil
	}
	return outer
}

// strictServerTLS only asks for a certificate and leaves every check, that there is one included, to our verifier:
// the standard check would refuse without telling the audit hook. VerifyConnection runs on resumed handshakes too.
func (c *Credentials) strictServerTLS(want demand, remote string) *tls.Config {
	cfg := c.baseTLS()
	cfg.ClientAuth = tls.RequestClientCert
	cfg.ClientCAs = c.check.roots
	cfg.VerifyConnection = c.verifyFunc(want, remote)
	return cfg
}

func (c *Credentials) joinServerTLS() *tls.Config {
	cfg := c.baseTLS()
	cfg.ClientAuth = tls.NoClientCert
	return cfg
}

func (c *Credentials) baseTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: alpn(),
		Time:       c.opts.Now,
		// A resumed session would carry yesterday's certificate; a full one costs both ends together about a millisecond.
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &c.current.Load().tls, nil
		},
	}
}

// ClientTLS is the configuration to dial a server whose role is one of expect; without roles it trusts nobody.
//
// The usual host name check is replaced by an identity check: nodes move between addresses and are dialled by whatever
// address gossip told, so a name in the certificate proves nothing here, while the cluster, role and node id that the CA
// wrote into it do.
func (c *Credentials) ClientTLS(expect ...Role) *tls.Config {
	return c.clientTLS(demand{usage: x509.ExtKeyUsageServerAuth, roles: expect})
}

// ClientTLSTo is ClientTLS for one node: any other node at that address, even of the right role, fails the handshake.
func (c *Credentials) ClientTLSTo(nodeID string, expect ...Role) *tls.Config {
	return c.clientTLS(demand{usage: x509.ExtKeyUsageServerAuth, roles: expect, nodeID: nodeID})
}

func (c *Credentials) clientTLS(want demand) *tls.Config {
	cfg := c.baseTLS()
	cfg.GetCertificate = nil
	cfg.InsecureSkipVerify = true // the standard check only; VerifyConnection does a stricter one
	cfg.VerifyConnection = func(cs tls.ConnectionState) error { return c.verifyFunc(want, cs.ServerName)(cs) }
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &c.current.Load().tls, nil
	}
	return cfg
}

// Recheck verifies the peer of an open connection again: long streams outlive certificates and revocations.
// It does not look at the role.
func (c *Credentials) Recheck(cs *tls.ConnectionState) (Identity, error) {
	if cs == nil {
		return Identity{}, ErrNoCertificate
	}
	return c.check.check(cs.PeerCertificates, demand{usage: x509.ExtKeyUsageClientAuth, anyRole: true})
}

func (c *Credentials) verifyFunc(want demand, remote string) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		id, err := c.check.check(cs.PeerCertificates, want)
		if err != nil {
			c.refused(remote, id, err)
			return fmt.Errorf("%s: %w", remote, err)
		}
		return nil
	}
}
