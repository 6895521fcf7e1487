package itest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/novacron/novacron/cluster/gossip"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

// quiet is how long knock waits for a hang-up.
const quiet = 500 * time.Millisecond

// knock does a handshake and tells whether the other side goes on with it, that is, has not hung up within a time.
func knock(t *testing.T, config *tls.Config, address string, within time.Duration) error {
	t.Helper()
	config = config.Clone()
	config.NextProtos = []string{"h2"}
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: config}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(within)))
	_, err = conn.Read(make([]byte, 1)) // HTTP/2 servers speak first, Raft waits
	if wait := net.Error(nil); errors.As(err, &wait) && wait.Timeout() {
		return nil
	}
	return err
}

func clientTLS(t *testing.T, who pki.Material) *tls.Config {
	t.Helper()
	creds, err := pki.NewCredentials(who, pki.Options{})
	require.NoError(t, err)
	return creds.ClientTLS(pki.RoleController, pki.RoleAgent)
}

// signed is a certificate by any CA, made at any time, without the checks of pki's loading.
func signed(t *testing.T, ca *pki.CA, id pki.Identity, when time.Time) tls.Certificate {
	t.Helper()
	key, csr, err := pki.NewKeyAndCSR()
	require.NoError(t, err)
	cert, err := ca.Sign(csr, id, nil, time.Hour, when)
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(cert, key)
	require.NoError(t, err)
	return pair
}

func badCertificates(t *testing.T, s *scene) {
	ca, err := s.material("controller-1").CA()
	require.NoError(t, err)
	foreign, err := pki.NewCA(s.ID, time.Now())
	require.NoError(t, err)
	leaver, err := s.Enroll(t.Context(), "leaver", pki.RoleAgent)
	require.NoError(t, err)
	_, err = s.admin.Cluster.RemoveMember(t.Context(), connect.NewRequest(&novacronv1.RemoveMemberRequest{Member: "leaver"}))
	require.NoError(t, err)
	good := s.material("host-1").Identity
	with := func(certificates ...tls.Certificate) *tls.Config {
		config := clientTLS(t, s.material("controller-1"))
		config.Certificates, config.GetClientCertificate = certificates, nil
		return config
	}
	configs := map[string]*tls.Config{
		"none":     with(),
		"expired":  with(signed(t, ca, good, time.Now().Add(-2*time.Hour))),
		"early":    with(signed(t, ca, good, time.Now().Add(2*time.Hour))),
		"wrong CA": with(signed(t, foreign, good, time.Now())),
		"cluster":  with(signed(t, foreignCA(t), pki.Identity{ClusterID: "another", NodeID: good.NodeID, Name: good.Name, Role: good.Role}, time.Now())),
		"revoked":  clientTLS(t, leaver.Material),
	}
	doors := map[string]string{
		"API": s.Member("controller-1").Config.API, "Raft": s.Member("controller-1").Config.Raft, "agent": s.Member("host-1").Config.API,
	}
	s.nothingChanges(func() {
		for name, config := range configs {
			for door, address := range doors {
				require.Eventually(t, func() bool { return knock(t, config, address, quiet) != nil }, patience, 50*time.Millisecond,
					"%s certificate at the door of %s", name, door) // the agents hear of a removal in a moment
			}
		}
	})
	for door, address := range doors { // the proof that the knock works
		require.NoError(t, knock(t, clientTLS(t, s.material("controller-1")), address, quiet), door)
	}
	require.Contains(t, s.log.String(), "a handshake was refused")
}

func foreignCA(t *testing.T) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA("another", time.Now())
	require.NoError(t, err)
	return ca
}

func agentOnRaftPort(t *testing.T, s *scene) {
	agent, raft := s.material("host-1"), s.Member("controller-1").Config.Raft
	viewer := s.enroll("watcher", pki.RoleViewer)
	s.nothingChanges(func() {
		for _, who := range []pki.Material{agent, viewer, s.AdminMaterial()} {
			require.Error(t, knock(t, clientTLS(t, who), raft, patience), who.Identity)
			require.Eventually(t, func() bool {
				return strings.Contains(s.log.String(), "claimed="+who.Identity.String())
			}, patience, 10*time.Millisecond, "the refusal of %s is not in the audit trail", who.Identity)
		}
	})
}

func agentMeddles(t *testing.T, s *scene) {
	owner := s.victim.GetHostName()
	other := map[string]string{"host-1": "host-2", "host-2": "host-1"}[owner]
	thief := s.as(s.material(other))
	desired := agentv1connect.NewDesiredServiceClient(thief.HTTP, node.URL(thief.Address))
	s.nothingChanges(func() {
		_, err := thief.Cluster.RemoveMember(t.Context(), connect.NewRequest(&novacronv1.RemoveMemberRequest{Member: owner, Force: true}))
		refused(t, err, connect.CodePermissionDenied, "may remove itself alone")

		report := &agentv1.ReportRequest{Vms: []*agentv1.VMObservation{{
			VmId: s.victim.GetId(), Epoch: s.victim.GetEpoch(), ObservedGeneration: 99, Gone: true, Phase: novacronv1.VMPhase_VM_PHASE_FAILED,
		}}}
		host, err := s.admin.Hosts.GetHost(t.Context(), connect.NewRequest(&novacronv1.GetHostRequest{Host: other}))
		require.NoError(t, err)
		report.Info = host.Msg.GetHost().GetInfo()
		_, err = desired.Report(t.Context(), connect.NewRequest(report))
		require.NoError(t, err, "what it says of others is not heard")

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := desired.Watch(ctx, connect.NewRequest(&agentv1.WatchRequest{}))
		require.NoError(t, err)
		require.True(t, stream.Receive())
		require.Empty(t, stream.Msg().GetDesired().GetVms(), "it sees machines of another host")

		create := connect.NewRequest(&novacronv1.CreateVMRequest{Spec: smallSpec("stolen")})
		create.Header().Set("Novacron-Caller", "admin/"+uuid.NewString()+"/root@127.0.0.1:1")
		_, err = thief.VMs.CreateVM(t.Context(), create)
		refused(t, err, connect.CodePermissionDenied, "role agent may not call")

		console := agentv1connect.NewHostAgentServiceClient(thief.HTTP, node.URL(s.Member(owner).Config.API)).Console(t.Context())
		_ = console.Send(&agentv1.ConsoleRequest{VmId: s.victim.GetId()}) // Receive says why
		_, err = console.Receive()
		refused(t, err, connect.CodePermissionDenied)
	})
}

func badTokens(t *testing.T, s *scene) {
	agent := novacronv1.Role_ROLE_AGENT
	used := s.token(&novacronv1.CreateTokenRequest{Role: novacronv1.Role_ROLE_VIEWER})
	_, err := node.Join(t.Context(), s.JoinOptions("first", used))
	require.NoError(t, err)
	expired := s.token(&novacronv1.CreateTokenRequest{Role: agent, Ttl: durationpb.New(time.Millisecond)})
	bound := s.token(&novacronv1.CreateTokenRequest{Role: agent, NodeName: "meant"})
	s.nothingChanges(func() {
		for token, says := range map[string]string{used: "used already, by first", expired: "has expired", bound: "for another node"} {
			options := s.JoinOptions("intruder", token)
			_, err := node.Join(t.Context(), options)
			refused(t, err, connect.CodePermissionDenied, says)
			require.NoDirExists(t, options.DataDir)
		}
	})
}

func tokenGuesses(t *testing.T, s *scene) {
	real := s.token(&novacronv1.CreateTokenRequest{Role: novacronv1.Role_ROLE_ADMIN})
	token, err := pki.ParseToken(real)
	require.NoError(t, err)
	client := node.HTTPClient(pki.JoinTLS(token.CAFingerprint))
	defer client.CloseIdleConnections()
	join := novacronv1connect.NewJoinServiceClient(client, node.URL(s.admin.Address))
	s.nothingChanges(func() {
		codes := map[connect.Code]int{}
		for range 1000 {
			guess, _, err := pki.NewToken(pki.RoleAdmin, time.Minute, "", token.CAFingerprint, time.Now())
			require.NoError(t, err)
			_, err = join.Join(t.Context(), connect.NewRequest(&novacronv1.JoinRequest{Token: guess, NodeName: "guesser"}))
			codes[connect.CodeOf(err)]++
		}
		require.LessOrEqual(t, codes[connect.CodePermissionDenied], 10, "guesses that were judged")
		require.Equal(t, 1000-codes[connect.CodePermissionDenied], codes[connect.CodeResourceExhausted], "%v", codes)
	})
	_, err = join.Join(t.Context(), connect.NewRequest(&novacronv1.JoinRequest{Token: real, NodeName: "guesser"}))
	refused(t, err, connect.CodeResourceExhausted, "too many failed joins", "try again in")
}

func claimedNames(t *testing.T, s *scene) {
	token := s.token(&novacronv1.CreateTokenRequest{Role: novacronv1.Role_ROLE_AGENT})
	host := s.material("host-1").Identity
	thief := s.as(s.material("host-2"))
	csr := claimingCSR(t, host)
	s.nothingChanges(func() {
		_, err := node.Join(t.Context(), s.JoinOptions("host-1", token))
		require.ErrorContains(t, err, "already prepared", "the folder is taken")
		options := s.JoinOptions("host-1", token)
		options.DataDir = t.TempDir()
		_, err = node.Join(t.Context(), options)
		refused(t, err, connect.CodeAlreadyExists, `"host-1" belongs to member`, "choose another")

		answer, err := thief.Cluster.RenewCertificate(t.Context(), connect.NewRequest(&novacronv1.RenewCertificateRequest{Csr: csr}))
		if err != nil {
			refused(t, err, connect.CodeInvalidArgument)
			return
		}
		block, _ := pem.Decode(answer.Msg.GetCertificate())
		certificate, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		id, err := pki.IdentityFromCert(certificate)
		require.NoError(t, err)
		require.Equal(t, s.material("host-2").Identity, id, "a request does not say who one is")
	})
	_, err := node.Join(t.Context(), s.JoinOptions("host-3", token))
	require.NoError(t, err, "the refused claim did not use up the token")
}

// claimingCSR asks for a certificate that is somebody else's.
func claimingCSR(t *testing.T, id pki.Identity) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	uri, err := url.Parse(id.String())
	require.NoError(t, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: id.Name}, URIs: []*url.URL{uri}, DNSNames: []string{id.Name},
	}, key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})
}

func strangeGossip(t *testing.T, s *scene) {
	seed := s.Member("controller-1").Config.Gossip
	wrong, err := pki.NewGossipKey()
	require.NoError(t, err)
	s.nothingChanges(func() {
		plain, err := (&net.Dialer{}).DialContext(t.Context(), "udp", seed)
		require.NoError(t, err)
		for _, packet := range [][]byte{{}, {0}, []byte("plain gossip"), bytes.Repeat([]byte{7}, 60<<10)} {
			_, err = plain.Write(packet)
			require.NoError(t, err)
		}
		require.NoError(t, plain.Close())
		intruder, err := gossip.Start(t.Context(), gossip.Config{
			ID: uuid.NewString(), Name: "intruder", Role: "agent", Version: "1", BindAddr: "127.0.0.1:0", Key: wrong,
			Seeds: func() []string { return []string{seed} }, RejoinEvery: 100 * time.Millisecond,
		})
		require.NoError(t, err)
		require.Never(t, func() bool { return len(intruder.Members()) > 1 }, 2*time.Second, 50*time.Millisecond, "it was let in")
		require.NoError(t, intruder.Close())
	})
	members, err := s.admin.Cluster.ListMembers(t.Context(), connect.NewRequest(&novacronv1.ListMembersRequest{}))
	require.NoError(t, err)
	for _, member := range members.Msg.GetMembers() {
		require.Equal(t, "alive", member.GetGossip(), "%s suffers from it", member.GetMember().GetName())
	}
}

func oversizedNames(t *testing.T, s *scene) {
	token := s.token(&novacronv1.CreateTokenRequest{Role: novacronv1.Role_ROLE_AGENT})
	fingerprint, err := pki.ParseToken(token)
	require.NoError(t, err)
	client := node.HTTPClient(pki.JoinTLS(fingerprint.CAFingerprint))
	defer client.CloseIdleConnections()
	_, csr, err := pki.NewKeyAndCSR()
	require.NoError(t, err)
	s.nothingChanges(func() {
		for _, name := range []string{strings.Repeat("a", 64), strings.Repeat("a", 1<<20)} {
			_, err := novacronv1connect.NewJoinServiceClient(client, node.URL(s.admin.Address)).Join(t.Context(), connect.NewRequest(
				&novacronv1.JoinRequest{Token: token, NodeName: name, Csr: csr, ApiAddress: "127.0.0.1:1", GossipAddress: "127.0.0.1:2"}))
			require.Contains(t, []connect.Code{connect.CodeInvalidArgument, connect.CodePermissionDenied}, connect.CodeOf(err), "%v", err)
			require.Less(t, len(err.Error()), 1000, "the answer repeats the name")
		}
		_, err := gossip.Start(t.Context(), gossip.Config{ID: uuid.NewString(), Role: "agent", Version: strings.Repeat("9", 513), Key: make([]byte, gossip.KeyLen)})
		require.Error(t, err)
	})
}

func extraFields(t *testing.T, s *scene) {
	token := s.token(&novacronv1.CreateTokenRequest{Role: novacronv1.Role_ROLE_VIEWER})
	parsed, err := pki.ParseToken(token)
	require.NoError(t, err)
	client := node.HTTPClient(pki.JoinTLS(parsed.CAFingerprint))
	defer client.CloseIdleConnections()
	_, csr, err := pki.NewKeyAndCSR()
	require.NoError(t, err)
	body, err := protojson.Marshal(&novacronv1.JoinRequest{Token: token, NodeName: "climber", Csr: csr})
	require.NoError(t, err)
	body = append([]byte(`{"role":"ROLE_ADMIN","member":{"role":"ROLE_CONTROLLER"},"admin":true,`), body[1:]...)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, node.URL(s.admin.Address)+novacronv1connect.JoinServiceJoinProcedure, bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s", text)
	answer := &novacronv1.JoinResponse{}
	require.NoError(t, protojson.Unmarshal(text, answer))
	require.Equal(t, novacronv1.Role_ROLE_VIEWER, answer.GetRole(), "the token decides")
	require.Empty(t, answer.GetCaKey())
	require.Empty(t, answer.GetGossipKey())
}
