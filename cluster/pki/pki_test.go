package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const testCluster = "c1"

func mustCA(t require.TestingT, cluster string) *CA {
	ca, err := NewCA(cluster, time.Now())
	require.NoError(t, err)
	return ca
}

// issue signs a fresh pair at the given moment.
func issue(t require.TestingT, ca *CA, role Role, node string, ttl time.Duration, at time.Time) Material {
	keyPEM, csrPEM, err := NewKeyAndCSR()
	require.NoError(t, err)
	id := Identity{ClusterID: ca.ClusterID(), NodeID: node, Name: node + "-name", Role: role}
	certPEM, err := ca.Sign(csrPEM, id, nil, ttl, at)
	require.NoError(t, err)
	return Material{Identity: id, CertPEM: certPEM, KeyPEM: keyPEM, CAPEM: ca.CertPEM(), GossipKey: make([]byte, GossipKeyLen)}
}

func mustCert(t require.TestingT, certPEM []byte) *x509.Certificate {
	cert, err := parseCertPEM(certPEM)
	require.NoError(t, err)
	return cert
}

func TestSignedIdentityReadsBack(t *testing.T) {
	ca := mustCA(t, testCluster)
	name := rapid.StringMatching(`[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?`)
	_, csrPEM, err := NewKeyAndCSR()
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		id := Identity{
			ClusterID: testCluster, NodeID: name.Draw(t, "node"), Name: name.Draw(t, "name"),
			Role: rapid.SampledFrom([]Role{RoleController, RoleAgent, RoleAdmin, RoleOperator, RoleViewer}).Draw(t, "role"),
		}
		certPEM, err := ca.Sign(csrPEM, id, []string{"10.0.0.1", "host.example"}, 0, time.Now())
		require.NoError(t, err)
		cert := mustCert(t, certPEM)
		got, err := IdentityFromCert(cert)
		require.NoError(t, err)
		require.Equal(t, id, got)
		require.Equal(t, id.Role.IsNode(), len(cert.ExtKeyUsage) == 2)
		require.LessOrEqual(t, cert.NotBefore, time.Now().Add(-ClockSkew))
		require.WithinDuration(t, time.Now().Add(MaxTTL(id.Role)), cert.NotAfter, 2*time.Second)
	})
}

// Attack 6 and 9: whatever a request claims, the certificate says what the signer decided.
func TestAttack6And9RequestContributesItsKeyOnly(t *testing.T) {
	ca := mustCA(t, testCluster)
	key, _, err := newKey()
	require.NoError(t, err)
	claim, err := url.Parse("novacron://c1/controller/live-node")
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "live-node", Organization: []string{"root"}}, DNSNames: []string{"live-node"},
		IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}, URIs: []*url.URL{claim}, EmailAddresses: []string{"a@b"},
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}}, // CA: true
	}, key)
	require.NoError(t, err)
	id := Identity{ClusterID: testCluster, NodeID: "n1", Name: "joiner", Role: RoleAgent}
	certPEM, err := ca.Sign(encodePEM(pemCSR, der), id, nil, time.Hour, time.Now())
	require.NoError(t, err)
	cert := mustCert(t, certPEM)
	got, err := IdentityFromCert(cert)
	require.NoError(t, err)
	require.Equal(t, id, got)
	require.Equal(t, []string{ServerName("joiner")}, cert.DNSNames, "and none of the request")
	require.Empty(t, cert.IPAddresses)
	require.Empty(t, cert.Subject.Organization)
	require.False(t, cert.IsCA)
	require.True(t, key.PublicKey.Equal(cert.PublicKey))
}

func TestSignRefuses(t *testing.T) {
	ca := mustCA(t, testCluster)
	_, csr, err := NewKeyAndCSR()
	require.NoError(t, err)
	good := Identity{ClusterID: testCluster, NodeID: "n", Name: "n", Role: RoleAgent}
	with := func(alter func(*Identity)) Identity { id := good; alter(&id); return id }
	broken := append([]byte(nil), csr...)
	der, err := decodePEM(pemCSR, csr)
	require.NoError(t, err)
	der[len(der)-1] ^= 1
	wrongSignature := encodePEM(pemCSR, der)
	broken[40] = '!'
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	rsaDER, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, rsaKey)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	p384DER, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, p384)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		csr   []byte
		id    Identity
		hosts []string
		ttl   time.Duration
		want  error
	}{
		"agent above a day":  {csr, good, nil, MaxNodeTTL + 1, ErrTTL},
		"admin above 90 d":   {csr, with(func(i *Identity) { i.Role = RoleAdmin }), nil, MaxClientTTL + 1, ErrTTL},
		"negative":           {csr, good, nil, -1, ErrTTL},
		"other cluster":      {csr, with(func(i *Identity) { i.ClusterID = "c2" }), nil, 0, ErrWrongCluster},
		"role":               {csr, with(func(i *Identity) { i.Role = "root" }), nil, 0, ErrBadIdentity},
		"name":               {csr, with(func(i *Identity) { i.Name = "../x" }), nil, 0, ErrBadName},
		"node id":            {csr, with(func(i *Identity) { i.NodeID = "a/b" }), nil, 0, ErrBadName},
		"wildcard":           {csr, good, []string{"*.example"}, 0, ErrBadName},
		"too many hosts":     {csr, good, strings.Split(strings.Repeat("a ", maxHosts), " "), 0, ErrBadName},
		"long host":          {csr, good, []string{strings.Repeat("a.", 150) + "a"}, 0, ErrBadName},
		"no request":         {nil, good, nil, 0, ErrBadCSR},
		"two requests":       {append(append([]byte(nil), csr...), csr...), good, nil, 0, ErrBadCSR},
		"broken":             {broken, good, nil, 0, ErrBadCSR},
		"signature":          {wrongSignature, good, nil, 0, ErrBadCSR},
		"RSA":                {encodePEM(pemCSR, rsaDER), good, nil, 0, ErrBadCSR},
		"P-384":              {encodePEM(pemCSR, p384DER), good, nil, 0, ErrBadCSR},
		"too large":          {make([]byte, maxPEM+1), good, nil, 0, ErrBadCSR},
		"certificate as CSR": {ca.CertPEM(), good, nil, 0, ErrBadCSR},
	} {
		_, err := ca.Sign(c.csr, c.id, c.hosts, c.ttl, time.Now())
		require.ErrorIs(t, err, c.want, name)
	}
}

func TestCertificateNeverOutlivesTheCA(t *testing.T) {
	ca := mustCA(t, testCluster)
	_, csr, err := NewKeyAndCSR()
	require.NoError(t, err)
	id := Identity{ClusterID: testCluster, NodeID: "n", Name: "n", Role: RoleAgent}
	certPEM, err := ca.Sign(csr, id, nil, 0, ca.cert.NotAfter.Add(-time.Hour))
	require.NoError(t, err)
	require.Equal(t, ca.cert.NotAfter, mustCert(t, certPEM).NotAfter)
	_, err = ca.Sign(csr, id, nil, 0, ca.cert.NotAfter)
	require.ErrorIs(t, err, ErrExpired)
}

// Attack 11: names that are paths, escapes or too long.
func TestAttack11Names(t *testing.T) {
	for _, bad := range []string{
		"", "../x", "%2e%2e", "a\x00b", "/etc", "a/b", "a.b", "-a", "a-", "-", "a b", "é", "a\n", strings.Repeat("a", 64), strings.Repeat("a", 300), "'/><x>",
	} {
		require.ErrorIs(t, ValidateNodeName(bad), ErrBadName, "%q", bad)
	}
	for _, good := range []string{"a", "A-1", "0", strings.Repeat("a", 63)} {
		require.NoError(t, ValidateNodeName(good))
	}
	require.Less(t, len(ValidateNodeName(strings.Repeat("a", 1<<20)).Error()), 300, "hostile input stays short in errors")
}

func TestIdentityFromCertIsStrict(t *testing.T) {
	good := func() *x509.Certificate {
		return &x509.Certificate{
			Subject: pkix.Name{CommonName: "n", Names: make([]pkix.AttributeTypeAndValue, 1)},
			URIs:    []*url.URL{{Scheme: uriScheme, Host: "c1", Path: "/agent/n1"}},
		}
	}
	id, err := IdentityFromCert(good())
	require.NoError(t, err)
	require.Equal(t, Identity{ClusterID: "c1", NodeID: "n1", Name: "n", Role: RoleAgent}, id)
	for _, uri := range []string{
		"novacron://c1/agent/n1/more", "novacron://c1/agent", "novacron://c1/agent/", "novacron://c1//n1", "novacron:///agent/n1",
		"novacron://c1:80/agent/n1", "novacron://u@c1/agent/n1", "novacron://c1/agent/n1?x=1", "novacron://c1/agent/n1?",
		"novacron://c1/agent/n1#f", "novacron://c1/agent/n%31", "novacron://c1/root/n1", "novacron://c1/agent/..", "https://c1/agent/n1",
		"spiffe://c1/agent/n1", "novacron:c1/agent/n1", "novacron://c1/Agent/n1", "novacron://c1/agent/n1%2f",
	} {
		u, err := url.Parse(uri)
		require.NoError(t, err)
		cert := good()
		cert.URIs = []*url.URL{u}
		_, err = IdentityFromCert(cert)
		require.Error(t, err, uri)
	}
	for name, alter := range map[string]func(*x509.Certificate){
		"two URIs": func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) },
		"no URI":   func(c *x509.Certificate) { c.URIs = nil },
		"CA":       func(c *x509.Certificate) { c.IsCA = true },
		"e-mail":   func(c *x509.Certificate) { c.EmailAddresses = []string{"a@b"} },
		"subject":  func(c *x509.Certificate) { c.Subject.Names = append(c.Subject.Names, c.Subject.Names[0]) },
		"name":     func(c *x509.Certificate) { c.Subject.CommonName = "a b" },
	} {
		cert := good()
		alter(cert)
		_, err := IdentityFromCert(cert)
		require.Error(t, err, name)
	}
	_, err = IdentityFromCert(nil)
	require.ErrorIs(t, err, ErrNoCertificate)
}

func FuzzIdentityURI(f *testing.F) {
	f.Add("novacron://c1/agent/n1")
	f.Add("novacron://u:p@c1:1/agent/n1?q#f")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil {
			return
		}
		id, err := parseURI(u)
		if err == nil && id.Role.Valid() && validateName("", id.ClusterID) == nil && validateName("", id.NodeID) == nil {
			require.Equal(t, u.String(), id.String())
		}
	})
}

func FuzzParsePEM(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"))
	_, csr, err := NewKeyAndCSR()
	require.NoError(f, err)
	f.Add(csr)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := parseCSR(b)
		if err != nil {
			require.ErrorIs(t, err, ErrBadCSR)
		}
		_, _ = parseCACert(b)
		_, _ = parseKeyPEM(b)
	})
}

// Attack 30 in small: secrets do not print.
func TestSecretsDoNotPrint(t *testing.T) {
	m := issue(t, mustCA(t, testCluster), RoleAgent, "n1", 0, time.Now())
	text, _, err := NewToken(RoleAgent, time.Minute, "", strings.Repeat("ab", 32), time.Now())
	require.NoError(t, err)
	tok, err := ParseToken(text)
	require.NoError(t, err)
	var out strings.Builder
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "token", tok, "material", m)
	for _, v := range []any{tok, m, &tok, &m} {
		fmt.Fprintf(&out, "%v %+v %#v %s", v, v, v, v)
	}
	secret := strings.Split(text, ".")[2]
	require.NotContains(t, out.String(), secret)
	require.NotContains(t, out.String(), "PRIVATE KEY")
	require.NotContains(t, out.String(), strings.Trim(fmt.Sprintf("%d", tok.Secret[:8]), "[]"))
	require.NotContains(t, out.String(), strings.Trim(fmt.Sprintf("%d", m.KeyPEM[:8]), "[]"))
}
