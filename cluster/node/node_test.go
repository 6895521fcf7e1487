package node_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

func sound(dir string) node.InitOptions {
	return node.InitOptions{DataDir: dir, Name: "one", Admin: "root", API: "127.0.0.1:7750", Raft: "127.0.0.1:7751", Gossip: "127.0.0.1:7752"}
}

func TestInitPreparesAFolderOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	made, admin, err := node.Init(sound(dir))
	require.NoError(t, err)
	require.Equal(t, pki.RoleAdmin, admin.Identity.Role)
	require.Empty(t, admin.CAKeyPEM, "an administrator does not get the CA")
	loaded, err := node.Load(dir)
	require.NoError(t, err)
	require.Equal(t, made, loaded)
	material, err := pki.LoadMaterial(loaded.PKIDir())
	require.NoError(t, err)
	require.Equal(t, made.NodeID, material.Identity.NodeID)
	_, _, err = node.Init(sound(dir))
	require.ErrorIs(t, err, node.ErrPrepared)
	require.ErrorContains(t, err, "choose another folder")
	_, err = node.Load(t.TempDir())
	require.ErrorIs(t, err, node.ErrNotPrepared)
	require.ErrorContains(t, err, "novacron cluster init")
}

func TestBadSettingsAreRefusedBeforeAnythingIsMade(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*node.InitOptions)
		says   string
	}{
		"name":        {func(o *node.InitOptions) { o.Name = "a/b" }, "name"},
		"any address": {func(o *node.InitOptions) { o.API = "0.0.0.0:7750" }, "api: address \"0.0.0.0:7750\": the other members cannot dial it"},
		"no port":     {func(o *node.InitOptions) { o.Raft = "127.0.0.1" }, "raft: address"},
		"port 0":      {func(o *node.InitOptions) { o.Gossip = "127.0.0.1:0" }, "gossip: address"},
		"port name":   {func(o *node.InitOptions) { o.Gossip = "127.0.0.1:http" }, "1 to 65535"},
		"high port":   {func(o *node.InitOptions) { o.API = "127.0.0.1:70000" }, "1 to 65535"},
		"admin":       {func(o *node.InitOptions) { o.Admin = "../root" }, "name"},
	} {
		o := sound(filepath.Join(t.TempDir(), "data"))
		c.change(&o)
		_, _, err := node.Init(o)
		require.ErrorContains(t, err, c.says, name)
		require.NoDirExists(t, o.DataDir, name)
	}
}

func TestSettingsAreReadStrictly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	_, _, err := node.Init(sound(dir))
	require.NoError(t, err)
	path := filepath.Join(dir, node.FileConfig)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, c := range []struct{ from, to, says string }{
		{"name: one", "title: one", "title"},
		{"role: controller", "role: controller\nrole: agent", "role"},
		{"api: 127.0.0.1:7750", "api: nowhere", "api"},
		{"role: controller", "role: agent", "an agent needs the API address"},
	} {
		text := strings.Replace(string(good), c.from, c.to, 1)
		require.NotEqual(t, string(good), text, c.from)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := node.Load(dir)
		require.ErrorContains(t, err, c.says)
		require.ErrorContains(t, err, path)
	}
}

func TestSaveKeepsEverything(t *testing.T) {
	c := node.Config{
		DataDir: t.TempDir(), ClusterID: "c", NodeID: "n", Name: "host", Role: pki.RoleAgent, API: "127.0.0.1:1", Gossip: "127.0.0.1:2",
		Controllers: []string{"127.0.0.1:3"}, Seeds: []string{"127.0.0.1:4"},
		Agent: node.AgentConfig{Labels: map[string]string{"a": "b"}, Driver: "fake", LibvirtURI: "test:///default", CPUOvercommit: 2.5, ReservedMemoryMB: 7},
	}
	require.NoError(t, c.Save())
	again, err := node.Load(c.DataDir)
	require.NoError(t, err)
	require.Equal(t, c, again)
	files, err := os.ReadDir(c.DataDir)
	require.NoError(t, err)
	require.Len(t, files, 1, "no temporary file stays")
}

// doorkeeper is a controller that answers joins as a test wants, and counts them.
type doorkeeper struct {
	answer func(*novacronv1.JoinRequest) (*novacronv1.JoinResponse, error)
	calls  int
}

func (d *doorkeeper) Join(_ context.Context, r *connect.Request[novacronv1.JoinRequest]) (*connect.Response[novacronv1.JoinResponse], error) {
	d.calls++
	answer, err := d.answer(r.Msg)
	return connect.NewResponse(answer), err
}

// listen serves a doorkeeper with a controller's certificate, and gives its address and CA.
func listen(t *testing.T, d *doorkeeper) (address string, ca *pki.CA) {
	t.Helper()
	config, _, err := node.Init(sound(filepath.Join(t.TempDir(), "data")))
	require.NoError(t, err)
	material, err := pki.LoadMaterial(config.PKIDir())
	require.NoError(t, err)
	ca, err = material.CA()
	require.NoError(t, err)
	creds, err := pki.NewCredentials(material, pki.Options{})
	require.NoError(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle(novacronv1connect.NewJoinServiceHandler(d))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(tls.NewListener(listener, creds.ServerTLS())) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String(), ca
}

func token(t *testing.T, fingerprint string) string {
	t.Helper()
	text, _, err := pki.NewToken(pki.RoleAgent, time.Minute, "", fingerprint, time.Now())
	require.NoError(t, err)
	return text
}

func joining(t *testing.T, token string, controllers ...string) node.JoinOptions {
	t.Helper()
	return node.JoinOptions{DataDir: filepath.Join(t.TempDir(), "data"), Name: "host", Token: token, Controllers: controllers, API: "127.0.0.1:1", Gossip: "127.0.0.1:2"}
}

func TestJoinTellsNothingToAStranger(t *testing.T) {
	stranger := &doorkeeper{}
	address, _ := listen(t, stranger)
	_, ours := listen(t, &doorkeeper{})
	options := joining(t, token(t, ours.Fingerprint()), address)
	_, err := node.Join(t.Context(), options)
	require.ErrorContains(t, err, address)
	require.Zero(t, stranger.calls, "the token must not reach one whose CA is not that of the token")
	require.NoDirExists(t, options.DataDir)
}

func TestJoinPassesOverTheDeadAndTakesTheFirstAnswer(t *testing.T) {
	denies := &doorkeeper{answer: func(*novacronv1.JoinRequest) (*novacronv1.JoinResponse, error) {
		return nil, connect.NewError(connect.CodePermissionDenied, pki.ErrTokenUsed)
	}}
	address, ca := listen(t, denies)
	_, err := node.Join(t.Context(), joining(t, token(t, ca.Fingerprint()), "127.0.0.1:1", address, address))
	require.ErrorContains(t, err, "used already")
	require.Equal(t, 1, denies.calls, "an answer is final")
	_, err = node.Join(t.Context(), joining(t, token(t, ca.Fingerprint())))
	require.ErrorContains(t, err, "name at least one")
	_, err = node.Join(t.Context(), joining(t, "nonsense", address))
	require.ErrorIs(t, err, pki.ErrTokenMalformed)
}

func TestJoinPreparesANode(t *testing.T) {
	accepts := &doorkeeper{}
	address, ca := listen(t, accepts)
	accepts.answer = func(r *novacronv1.JoinRequest) (*novacronv1.JoinResponse, error) {
		id := pki.Identity{ClusterID: ca.ClusterID(), NodeID: "5f6b1a0e-3f43-4d57-9a57-6f1f2a3b4c5d", Name: r.GetNodeName(), Role: pki.RoleAgent}
		certificate, err := ca.Sign(r.GetCsr(), id, nil, 0, time.Now())
		return &novacronv1.JoinResponse{
			NodeId: id.NodeID, ClusterId: id.ClusterID, Role: novacronv1.Role_ROLE_AGENT, Certificate: certificate, CaCertificate: ca.CertPEM(), GossipKey: make([]byte, pki.GossipKeyLen),
			Members: []*novacronv1.Member{{Role: novacronv1.Role_ROLE_CONTROLLER, ApiAddress: "127.0.0.1:10", GossipAddress: "127.0.0.1:11"}, {GossipAddress: "127.0.0.1:12"}},
		}, err
	}
	options := joining(t, token(t, ca.Fingerprint()), address)
	options.Agent = node.AgentConfig{Driver: "fake"}
	joined, err := node.Join(t.Context(), options)
	require.NoError(t, err)
	loaded, err := node.Load(options.DataDir)
	require.NoError(t, err)
	require.Equal(t, joined.Config, loaded)
	require.Equal(t, []string{"127.0.0.1:10"}, loaded.Controllers)
	require.Equal(t, []string{"127.0.0.1:11", "127.0.0.1:12"}, loaded.Seeds)
	_, err = node.Join(t.Context(), options)
	require.ErrorIs(t, err, node.ErrPrepared)
	require.Equal(t, 1, accepts.calls, "the token is not spent on a folder that is taken")
}
