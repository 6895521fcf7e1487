package gcpmonitoring

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/auth"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/novacron/novacron/agent/collect/cloud"
	"github.com/novacron/novacron/agent/collect/gcpmonitoring/fakecloud"
	"github.com/novacron/novacron/tsdb"
)

// tokens is a server that gives out tokens, or says that what it got has expired.
func tokens(t *testing.T, expired bool) (address string, asked func() []string) {
	t.Helper()
	var forms []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		forms = append(forms, r.Form.Encode())
		w.Header().Set("Content-Type", "application/json")
		if expired {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}`))
			return
		}
		_, _ = w.Write([]byte(`{"access_token": "secret", "token_type": "Bearer", "expires_in": 3600, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}`))
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []string { return forms }
}

func writeJSON(t *testing.T, content map[string]any) string {
	t.Helper()
	data, err := json.Marshal(content)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "credentials.json")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func serviceAccount(t *testing.T, tokenURI string) map[string]any {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return map[string]any{
		"type": "service_account", "project_id": testProject, "private_key_id": "1", "client_email": "reader@project-one.iam.gserviceaccount.com",
		"token_uri": tokenURI, "private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}
}

// TestCredentialFiles reads every kind of file that can be tested without Google: the token comes from loopback.
func TestCredentialFiles(t *testing.T) {
	address, asked := tokens(t, false)
	subject := filepath.Join(t.TempDir(), "subject")
	require.NoError(t, os.WriteFile(subject, []byte("id-token"), 0o600))
	for name, content := range map[string]map[string]any{
		"service account": serviceAccount(t, address),
		"workload identity": {
			"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p",
			"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": address, "credential_source": map[string]any{"file": subject},
		},
	} {
		for _, byEnvironment := range []bool{false, true} {
			before := len(asked())
			c := Credentials{File: writeJSON(t, content)}
			if byEnvironment {
				t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", c.File)
				c.File = ""
			}
			creds, err := c.open()
			require.NoError(t, err, name)
			require.Len(t, asked(), before, "%s: nothing is asked before it is needed", name)
			token, err := creds.Token(t.Context())
			require.NoError(t, err, name)
			require.Equal(t, "secret", token.Value, name)
			if name == "workload identity" {
				require.Contains(t, asked()[before], "monitoring.read", "no more than is needed is asked for")
				require.NotContains(t, asked()[before], "cloud-platform")
			}
		}
	}
}

// TestExpiredCredentials says which they are, for what they were used and how to get new ones.
func TestExpiredCredentials(t *testing.T) {
	address, _ := tokens(t, true)
	c := Credentials{File: writeJSON(t, serviceAccount(t, address))}
	creds, err := c.open()
	require.NoError(t, err)
	client := computeFor(t, fakecloud.New(testProject), c, creds)
	_, _, err = client.instances(t.Context())
	for _, text := range []string{"instances.aggregatedList of project project-one", "invalid_grant", c.File, "gcloud iam service-accounts keys create"} {
		require.ErrorContains(t, err, text)
	}
}

// computeFor is a client that sends credentials in plain text, which New never does.
func computeFor(t *testing.T, fake *fakecloud.Cloud, who Credentials, creds *auth.Credentials) *computeClient {
	t.Helper()
	cfg, err := Config{Projects: []string{testProject}, Stores: (&shelf{}).store, Dial: fake.Dial, ComputeEndpoint: fakecloud.ComputeEndpoint, Paces: &cloud.Paces{}}.withDefaults()
	require.NoError(t, err)
	access, err := cloud.OpenAccess(t.Context(), cfg.Stores("pauses"), cfg.Paces, nil)
	require.NoError(t, err)
	g := &gate{who: who, project: testProject, access: access, timeout: cfg.CallTimeout, refused: map[string]int{}}
	client := newComputeClient(cfg, testProject, nil, g, &clock{})
	client.creds = creds
	t.Cleanup(client.close)
	return client
}

func TestComputeSendsTheToken(t *testing.T) {
	address, _ := tokens(t, false)
	c := Credentials{File: writeJSON(t, serviceAccount(t, address))}
	creds, err := c.open()
	require.NoError(t, err)
	fake := fakecloud.New(testProject)
	stop := fake.Serve()
	defer stop()
	client := computeFor(t, fake, c, creds)
	fake.Token = "Bearer secret"
	_, _, err = client.instances(t.Context())
	require.NoError(t, err)
	fake.Token = "Bearer other"
	_, _, err = client.instances(t.Context())
	require.ErrorContains(t, err, "HTTP 401")
}

func TestCredentialsThatCannotBe(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.json")
	for text, c := range map[string]Credentials{
		missing:                           {File: missing},
		"known are":                       {File: writeJSON(t, map[string]any{"type": "password"})},
		"delegates without an account":    {Delegates: []string{"a@b"}},
		"acting as a@b":                   {File: missing, Impersonate: "a@b"},
		"serviceAccountTokenCreator":      {File: missing, Impersonate: "a@b"},
		"gcloud iam service-accounts key": {File: missing},
	} {
		_, err := New(t.Context(), Config{Projects: []string{testProject}, Stores: (&shelf{states: map[string][]byte{}}).store, Credentials: c})
		require.ErrorContains(t, err, text)
	}
	c := Credentials{File: writeJSON(t, serviceAccount(t, "http://127.0.0.1:1")), Impersonate: "reader@project-one.iam.gserviceaccount.com"}
	_, err := c.open()
	require.NoError(t, err, "acting as another account begins with its first token")
}

func TestConfigsThatCannotBe(t *testing.T) {
	stores := (&shelf{states: map[string][]byte{}}).store
	for text, c := range map[string]Config{
		"no project":           {Stores: stores},
		"no place":             {Projects: []string{testProject}},
		"no project id":        {Projects: []string{"123456"}, Stores: stores},
		"named twice":          {Projects: []string{testProject, testProject}, Stores: stores},
		"from 1 to 100000":     {Projects: []string{testProject}, Stores: stores, PagePoints: 100_001},
		"region \"europe\"":    {Projects: []string{testProject}, Stores: stores, Regions: []string{"europe"}},
		"give their beginning": {Projects: []string{testProject}, Stores: stores, Unmapped: []string{`x" OR "`}},
	} {
		_, err := New(t.Context(), c)
		require.ErrorContains(t, err, text)
	}
	for _, fine := range []string{"my-project-1", "example.com:my-project"} {
		_, err := Config{Projects: []string{fine}, Regions: []string{"northamerica-northeast1"}, Unmapped: []string{cloudSQL}, Stores: stores}.withDefaults()
		require.NoError(t, err)
	}
}

// TestWithTLS has the clients that New makes by default: with TLS and credentials. Nobody answers their dialler.
func TestWithTLS(t *testing.T) {
	address, asked := tokens(t, false)
	var mu sync.Mutex
	dialled := map[string]bool{}
	c, err := New(t.Context(), Config{
		Projects: []string{testProject}, Stores: (&shelf{states: map[string][]byte{}}).store, Unmapped: []string{cloudSQL},
		Credentials: Credentials{File: writeJSON(t, serviceAccount(t, address))}, MonitoringEndpoint: "passthrough:///monitoring.googleapis.com:443",
		Dial: func(_ context.Context, address string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			dialled[address] = true
			return nil, errInjection
		},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	_, err = c.ListAvailableMetrics(t.Context())
	require.ErrorContains(t, err, "ListMetricDescriptors of project project-one")
	require.ErrorContains(t, err, errInjection.Error())
	_, err = c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.ErrorContains(t, err, "instances.aggregatedList of project project-one")
	require.NotEmpty(t, asked(), "the token is asked for before the call")
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, map[string]bool{"monitoring.googleapis.com:443": true, "compute.googleapis.com:443": true}, dialled)
}

// TestOneCodeForTwo tells an answer that is too large from a call that came too early.
func TestOneCodeForTwo(t *testing.T) {
	g := &gate{}
	v := g.judge(status.Error(codes.ResourceExhausted, "grpc: received message larger than max (70000000 vs. 67108864)"))
	require.False(t, v.throttled)
	require.Error(t, v.err)
	require.True(t, g.judge(status.Error(codes.ResourceExhausted, "Quota exceeded")).throttled)
	busy, err := status.New(codes.Unavailable, "busy").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Minute)})
	require.NoError(t, err)
	v = g.judge(busy.Err())
	require.True(t, v.throttled)
	require.Equal(t, time.Minute, v.after)
	require.False(t, g.judge(status.Error(codes.Unavailable, "away")).throttled)
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "309": 309 * time.Second, "soon": 0, now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		require.Equal(t, want, retryAfter(text, now), text)
	}
}
