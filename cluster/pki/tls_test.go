package pki

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// refusals is an audit trail.
type refusals struct {
	mu   sync.Mutex
	list []refusal
}

type refusal struct {
	remote string
	id     Identity
	reason error
}

func (r *refusals) add(remote string, id Identity, reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, refusal{remote, id, reason})
}

func (r *refusals) last() refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) == 0 {
		return refusal{}
	}
	return r.list[len(r.list)-1]
}

func mustCredentials(t require.TestingT, m Material, opts Options) *Credentials {
	c, err := NewCredentials(m, opts)
	require.NoError(t, err)
	return c
}

// serve accepts TLS connections on a loopback port and greets those whose handshake succeeds.
func serve(t *testing.T, cfg *tls.Config) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				s := tls.Server(conn, cfg)
				if s.Handshake() == nil {
					_, _ = s.Write([]byte("hi"))
					_ = s.Close()
				}
			}()
		}
	}()
	return l.Addr().String()
}

// greet dials and reads the greeting: in TLS 1.3 a client learns only when reading that it was refused.
func greet(addr string, cfg *tls.Config) (*tls.ConnectionState, error) {
	conn, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	b, err := io.ReadAll(conn)
	if err == nil && string(b) != "hi" {
		err = errors.New("no greeting")
	}
	cs := conn.ConnectionState()
	return &cs, err
}

func TestEveryRoleReachesTheAPI(t *testing.T) {
	ca := mustCA(t, testCluster)
	addr := serve(t, mustCredentials(t, issue(t, ca, RoleController, "ctl", 0, time.Now()), Options{}).ServerTLS())
	for _, role := range []Role{RoleController, RoleAgent, RoleAdmin, RoleOperator, RoleViewer} {
		c := mustCredentials(t, issue(t, ca, role, "n1", 0, time.Now()), Options{})
		cs, err := greet(addr, c.ClientTLS(RoleController))
		require.NoError(t, err, role)
		require.Equal(t, uint16(tls.VersionTLS13), cs.Version)
		require.Equal(t, "h2", cs.NegotiatedProtocol)
		peer, err := PeerIdentity(cs)
		require.NoError(t, err)
		require.Equal(t, "ctl", peer.NodeID)
		require.False(t, IsJoin(cs))
	}
}

// Attack 1: no, expired, future, wrong-CA, same-named-CA and revoked certificates fail in the handshake and are audited.
func TestAttack1BadCertificatesFailTheHandshake(t *testing.T) {
	ca, evil, otherCluster := mustCA(t, testCluster), mustCA(t, testCluster), mustCA(t, "c2")
	var audit refusals
	server := mustCredentials(t, issue(t, ca, RoleController, "ctl", 0, time.Now()), Options{
		Refused: audit.add, Revoked: func(node, serial string) bool { return node == "bad" && serial != "" },
	})
	api, raft := serve(t, server.ServerTLS()), serve(t, server.PeerTLS(RoleController))
	for name, c := range map[string]struct {
		m    Material
		want error
	}{
		"expired":       {issue(t, ca, RoleController, "n", time.Minute, time.Now().Add(-time.Hour)), ErrExpired},
		"future":        {issue(t, ca, RoleController, "n", time.Minute, time.Now().Add(time.Hour)), ErrExpired},
		"wrong CA":      {issue(t, evil, RoleController, "n", 0, time.Now()), ErrWrongCA},
		"other cluster": {issue(t, otherCluster, RoleController, "n", 0, time.Now()), ErrWrongCA},
		"revoked":       {issue(t, ca, RoleController, "bad", 0, time.Now()), ErrRevoked},
	} {
		for _, addr := range []string{api, raft} {
			_, err := greet(addr, loose(t, c.m))
			require.Error(t, err, name)
			require.ErrorIs(t, audit.last().reason, c.want, name)
			require.Contains(t, audit.last().remote, "127.0.0.1:", name)
		}
	}
	for _, addr := range []string{api, raft} {
		_, err := greet(addr, &tls.Config{InsecureSkipVerify: true})
		require.Error(t, err)
		require.ErrorIs(t, audit.last().reason, ErrNoCertificate)
	}
	_, err := greet(raft, &tls.Config{InsecureSkipVerify: true, ServerName: JoinServerName})
	require.Error(t, err, "the Raft port has no joining door")
	_, err = greet(api, &tls.Config{InsecureSkipVerify: true, ServerName: "JOIN.novacron.internal"})
	require.Error(t, err)
	_, err = greet(api, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	require.Error(t, err)
}

// loose trusts any server and shows the given certificate, also to a server that asked for another CA's.
func loose(t *testing.T, m Material) *tls.Config {
	cert, err := tls.X509KeyPair(m.CertPEM, m.KeyPEM)
	require.NoError(t, err)
	return &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &cert, nil
	}}
}

// Attack 2: an agent on the Raft port.
func TestAttack2AgentOnTheRaftPortIsRefusedAndAudited(t *testing.T) {
	ca := mustCA(t, testCluster)
	var audit refusals
	server := mustCredentials(t, issue(t, ca, RoleController, "ctl", 0, time.Now()), Options{Refused: audit.add})
	addr := serve(t, server.PeerTLS(RoleController))
	for _, role := range []Role{RoleAgent, RoleAdmin, RoleOperator, RoleViewer} {
		c := mustCredentials(t, issue(t, ca, role, "n1", 0, time.Now()), Options{})
		_, err := greet(addr, c.ClientTLS(RoleController))
		require.Error(t, err)
		require.ErrorIs(t, audit.last().reason, ErrWrongRole)
		require.Equal(t, c.Identity(), audit.last().id)
	}
	other := mustCredentials(t, issue(t, ca, RoleController, "ctl-2", 0, time.Now()), Options{})
	_, err := greet(addr, other.ClientTLS(RoleController))
	require.NoError(t, err)
	_, err = greet(serve(t, server.PeerTLS()), other.ClientTLS(RoleController))
	require.Error(t, err, "no roles, nobody")
}

// Attack 6: the certificate of one node where another was dialled.
func TestAttack6ServerMustBeWhoWasDialled(t *testing.T) {
	ca := mustCA(t, testCluster)
	agent := mustCredentials(t, issue(t, ca, RoleAgent, "a1", 0, time.Now()), Options{})
	addr := serve(t, agent.ServerTLS())
	var audit refusals
	client := mustCredentials(t, issue(t, ca, RoleController, "ctl", 0, time.Now()), Options{Refused: audit.add})
	_, err := greet(addr, client.ClientTLSTo("a1", RoleAgent))
	require.NoError(t, err)
	_, err = greet(addr, client.ClientTLSTo("a2", RoleAgent))
	require.ErrorIs(t, err, ErrWrongNode)
	_, err = greet(addr, client.ClientTLS(RoleController))
	require.ErrorIs(t, err, ErrWrongRole)
	require.ErrorIs(t, audit.last().reason, ErrWrongRole)
	_, err = greet(addr, client.ClientTLS())
	require.ErrorIs(t, err, ErrWrongRole)
	_, err = greet(addr, &tls.Config{InsecureSkipVerify: true, ServerName: JoinServerName})
	require.Error(t, err, "an agent has no joining door")

	admin := mustCredentials(t, issue(t, ca, RoleAdmin, "adm", 0, time.Now()), Options{})
	_, err = greet(serve(t, admin.ServerTLS()), client.ClientTLS(RoleController, RoleAdmin))
	require.ErrorIs(t, err, ErrWrongCA, "a client certificate may not serve")
}

func TestResumptionDoesNotSkipRevocation(t *testing.T) {
	ca := mustCA(t, testCluster)
	var mu sync.Mutex
	revoked := false
	server := mustCredentials(t, issue(t, ca, RoleController, "ctl", 0, time.Now()), Options{Revoked: func(string, string) bool {
		mu.Lock()
		defer mu.Unlock()
		return revoked
	}})
	addr := serve(t, server.ServerTLS())
	cfg := mustCredentials(t, issue(t, ca, RoleAgent, "a", 0, time.Now()), Options{}).ClientTLS(RoleController)
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(10)
	for range 2 {
		cs, err := greet(addr, cfg)
		require.NoError(t, err)
		require.False(t, cs.DidResume)
	}
	mu.Lock()
	revoked = true
	mu.Unlock()
	_, err := greet(addr, cfg)
	require.Error(t, err)
}

func TestJoinDoor(t *testing.T) {
	ca := mustCA(t, testCluster)
	server := mustCredentials(t, issue(t, ca, RoleController, "ctl", 0, time.Now()), Options{})
	addr := serve(t, server.ServerTLS())
	cs, err := greet(addr, JoinTLS(ca.Fingerprint()))
	require.NoError(t, err)
	caPEM, err := JoinedCA(cs, ca.Fingerprint())
	require.NoError(t, err)
	require.Equal(t, ca.CertPEM(), caPEM)
	require.Equal(t, ca.Fingerprint(), server.CAFingerprint())

	for _, fp := range []string{mustCA(t, testCluster).Fingerprint(), "", "zz"} {
		_, err = greet(addr, JoinTLS(fp))
		require.ErrorIs(t, err, ErrWrongCA)
	}
	leaf, err := Fingerprint(server.Material().CertPEM)
	require.NoError(t, err)
	_, err = greet(addr, JoinTLS(leaf))
	require.Error(t, err, "a pinned leaf is no CA")
}

// A thief who replays the public CA certificate beside his own leaf does not pass, nor does an agent's certificate.
func TestJoinerTrustsControllersOfThePinnedCAOnly(t *testing.T) {
	ca, evil := mustCA(t, testCluster), mustCA(t, testCluster)
	for name, m := range map[string]Material{
		"foreign leaf": issue(t, evil, RoleController, "ctl", 0, time.Now()),
		"agent":        issue(t, ca, RoleAgent, "a", 0, time.Now()),
		"expired":      issue(t, ca, RoleController, "ctl", time.Minute, time.Now().Add(-time.Hour)),
	} {
		cert, err := tls.X509KeyPair(m.CertPEM, m.KeyPEM)
		require.NoError(t, err)
		cert.Certificate = append(cert.Certificate, ca.cert.Raw)
		_, err = greet(serve(t, &tls.Config{Certificates: []tls.Certificate{cert}}), JoinTLS(ca.Fingerprint()))
		require.Error(t, err, name)
	}
}

// The HTTP layer can tell the joining door, over HTTP/2 with the standard server.
func TestHTTPSeesWhoCalls(t *testing.T) {
	ca := mustCA(t, testCluster)
	server := mustCredentials(t, issue(t, ca, RoleController, "ctl", 0, time.Now()), Options{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if IsJoin(r.TLS) {
			_, _ = io.WriteString(w, "join "+r.Proto)
			return
		}
		id, err := PeerIdentity(r.TLS)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, id.String()+" "+r.Proto)
	}))
	s.TLS = server.ServerTLS()
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	get := func(cfg *tls.Config) string {
		tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get(s.URL)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(body)
	}
	require.Equal(t, "join HTTP/2.0", get(JoinTLS(ca.Fingerprint())))
	agent := mustCredentials(t, issue(t, ca, RoleAgent, "a", 0, time.Now()), Options{})
	require.Equal(t, "novacron://c1/agent/a HTTP/2.0", get(agent.ClientTLS(RoleController)))
}

func TestReplaceTakesEffectAndPersists(t *testing.T) {
	ca, dir := mustCA(t, testCluster), t.TempDir()
	first := issue(t, ca, RoleAgent, "a", time.Hour, time.Now())
	require.NoError(t, SaveMaterial(dir, first))
	c := mustCredentials(t, first, Options{Dir: dir})
	server := mustCredentials(t, issue(t, ca, RoleController, "ctl", 0, time.Now()), Options{})
	var mu sync.Mutex
	var serials []string
	cfg := server.ServerTLS()
	inner := cfg.GetConfigForClient
	cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		in, err := inner(h)
		verify := in.VerifyConnection
		in.VerifyConnection = func(cs tls.ConnectionState) error {
			mu.Lock()
			defer mu.Unlock()
			serials = append(serials, serialHex(cs.PeerCertificates[0]))
			return verify(cs)
		}
		return in, err
	}
	addr, client := serve(t, cfg), c.ClientTLS(RoleController)
	_, err := greet(addr, client)
	require.NoError(t, err)
	next := issue(t, ca, RoleAgent, "a", 2*time.Hour, time.Now())
	require.NoError(t, c.Replace(next.CertPEM, next.KeyPEM))
	_, err = greet(addr, client)
	require.NoError(t, err)
	mu.Lock()
	require.Len(t, slices.Compact(serials), 2)
	mu.Unlock()
	require.WithinDuration(t, time.Now().Add(2*time.Hour), c.Expires(), time.Minute)
	saved, err := LoadMaterial(dir)
	require.NoError(t, err)
	require.Equal(t, next.CertPEM, saved.CertPEM)

	for name, m := range map[string]Material{
		"other node": issue(t, ca, RoleAgent, "b", 0, time.Now()),
		"more role":  issue(t, ca, RoleController, "a", 0, time.Now()),
		"other CA":   issue(t, mustCA(t, testCluster), RoleAgent, "a", 0, time.Now()),
		"expired":    issue(t, ca, RoleAgent, "a", time.Minute, time.Now().Add(-time.Hour)),
	} {
		require.Error(t, c.Replace(m.CertPEM, m.KeyPEM), name)
	}
	require.Error(t, c.Replace(next.CertPEM, first.KeyPEM))
	require.Equal(t, next.CertPEM, c.Material().CertPEM, "a refused replacement changes nothing")
}

func TestReplaceOnABrokenDiskStillWorksFromMemory(t *testing.T) {
	ca, dir := mustCA(t, testCluster), t.TempDir()
	c := mustCredentials(t, issue(t, ca, RoleAgent, "a", time.Hour, time.Now()), Options{Dir: filepath.Join(dir, "file")})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	next := issue(t, ca, RoleAgent, "a", 2*time.Hour, time.Now())
	require.ErrorContains(t, c.Replace(next.CertPEM, next.KeyPEM), "a restart would lose it")
	require.WithinDuration(t, time.Now().Add(2*time.Hour), c.Expires(), time.Minute)
}

func TestRecheckSeesARevocationOnAnOpenConnection(t *testing.T) {
	ca := mustCA(t, testCluster)
	revoked := false
	c := mustCredentials(t, issue(t, ca, RoleController, "ctl", 0, time.Now()), Options{Revoked: func(string, string) bool { return revoked }})
	m := issue(t, ca, RoleViewer, "v", 0, time.Now())
	open := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{mustCert(t, m.CertPEM)}}
	id, err := c.Recheck(open)
	require.NoError(t, err)
	require.Equal(t, m.Identity, id)
	revoked = true
	_, err = c.Recheck(open)
	require.ErrorIs(t, err, ErrRevoked)
	_, err = c.Recheck(nil)
	require.ErrorIs(t, err, ErrNoCertificate)
}

func TestKeysAreP256(t *testing.T) {
	m := issue(t, mustCA(t, testCluster), RoleAgent, "a", 0, time.Now())
	require.Equal(t, x509.ECDSA, mustCert(t, m.CertPEM).PublicKeyAlgorithm)
	require.Equal(t, "P-256", mustCert(t, m.CertPEM).PublicKey.(*ecdsa.PublicKey).Curve.Params().Name)
}

func BenchmarkHandshake(b *testing.B) {
	ca := mustCA(b, testCluster)
	server := mustCredentials(b, issue(b, ca, RoleController, "ctl", 0, time.Now()), Options{})
	client := mustCredentials(b, issue(b, ca, RoleAgent, "a", 0, time.Now()), Options{})
	serverTLS, clientTLS := server.ServerTLS(), client.ClientTLS(RoleController)
	for b.Loop() {
		x, y := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- tls.Server(x, serverTLS).Handshake() }()
		require.NoError(b, tls.Client(y, clientTLS).Handshake())
		require.NoError(b, <-done)
		require.NoError(b, errors.Join(x.Close(), y.Close()))
	}
}
