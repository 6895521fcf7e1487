package source

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/jobs"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb"
)

func given(t *testing.T, spec *novacronv1.MetricSourceSpec, secret string) jobs.Source {
	t.Helper()
	spec.Name, spec.Interval = "one", durationpb.New(5*time.Minute)
	s := jobs.Source{Spec: spec, From: time.Now(), Dir: t.TempDir(), Meter: collect.NewMeter()}
	if secret != "" {
		s.Secret = func() ([]byte, error) { return []byte(secret), nil }
		if spec.Credential == nil {
			spec.Credential = &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_Sealed{Sealed: &novacronv1.SealedSecret{}}}
		}
	}
	return s
}

// serviceAccount is a key of Google's form that opens nothing.
func serviceAccount(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "a@b.iam.gserviceaccount.com", "private_key_id": "1", "project_id": "shop-prod",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": "https://oauth2.googleapis.com/token",
	})
	require.NoError(t, err)
	return string(text)
}

// TestEveryKindHasItsCollector makes each; no cloud is called before the first collection.
func TestEveryKindHasItsCollector(t *testing.T) {
	azure := &novacronv1.AzureMetricSource{
		Subscriptions: []string{"6a0b0c0d-0000-4000-8000-000000000001"}, TenantId: "6a0b0c0d-0000-4000-8000-000000000002", ClientId: "6a0b0c0d-0000-4000-8000-000000000003",
	}
	maker := &Maker{Logger: slog.New(slog.DiscardHandler)}
	for name, s := range map[string]jobs.Source{
		"aws": given(t, &novacronv1.MetricSourceSpec{MetricSet: "extended", Kind: &novacronv1.MetricSourceSpec_Aws{Aws: &novacronv1.AWSMetricSource{
			Regions: []string{"eu-central-1"}, RoleArn: "arn:aws:iam::123456789012:role/metrics", ExternalId: "x",
		}}}, `{"AccessKeyId": "AKIA", "SecretAccessKey": "s"}`),
		"azure":  given(t, &novacronv1.MetricSourceSpec{MetricSet: "extended", Kind: &novacronv1.MetricSourceSpec_Azure{Azure: azure}}, "secret"),
		"gcp":    given(t, &novacronv1.MetricSourceSpec{Kind: &novacronv1.MetricSourceSpec_Gcp{Gcp: &novacronv1.GCPMetricSource{Projects: []string{"shop-prod"}}}}, serviceAccount(t)),
		"scrape": given(t, &novacronv1.MetricSourceSpec{Kind: &novacronv1.MetricSourceSpec_Scrape{Scrape: &novacronv1.ScrapeMetricSource{Url: "http://127.0.0.1:1/metrics"}}}, ""),
	} {
		t.Run(name, func(t *testing.T) {
			opened, err := maker.Open(t.Context(), s)
			require.NoError(t, err)
			if opened.Close != nil {
				defer func() { require.NoError(t, opened.Close()) }()
			}
			if name == "scrape" {
				return // tells nothing before it was collected from
			}
			teller, tells := opened.Collector.(collect.Progresser)
			require.True(t, tells, "watermark and forecast are told")
			assert.Zero(t, teller.Progress().ForecastUnits)
			defs, err := opened.Collector.ListAvailableMetrics(t.Context())
			require.NoError(t, err)
			assert.NotEmpty(t, defs)
		})
	}
}

func TestBadCredentialsAreTold(t *testing.T) {
	maker := &Maker{Logger: slog.New(slog.DiscardHandler)}
	aws := &novacronv1.AWSMetricSource{Regions: []string{"eu-central-1"}}
	_, err := maker.Open(t.Context(), given(t, &novacronv1.MetricSourceSpec{Kind: &novacronv1.MetricSourceSpec_Aws{Aws: aws}}, "hunter2"))
	require.ErrorContains(t, err, "no pair of keys")
	assert.NotContains(t, err.Error(), "hunter2")
	gcp := &novacronv1.GCPMetricSource{Projects: []string{"shop-prod"}}
	_, err = maker.Open(t.Context(), given(t, &novacronv1.MetricSourceSpec{Kind: &novacronv1.MetricSourceSpec_Gcp{Gcp: gcp}}, "hunter2"))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "hunter2")
	_, err = maker.Open(t.Context(), given(t, &novacronv1.MetricSourceSpec{}, ""))
	require.ErrorContains(t, err, "upgrade this node")
}

// TestScrapesLogIn collects from a target that asks for a password, which lies in a file.
func TestScrapesLogIn(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "u" || password != "p" {
			http.Error(w, "who?", http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte("queue_length{till=\"1\"} 3\n")) // a client that has gone is not missed
	}))
	defer target.Close()
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("p\n"), 0o600))
	s := given(t, &novacronv1.MetricSourceSpec{
		Labels: map[string]string{"site": "a"}, Kind: &novacronv1.MetricSourceSpec_Scrape{Scrape: &novacronv1.ScrapeMetricSource{Url: target.URL, Username: "u"}},
		Credential: &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_File{File: file}},
	}, "")
	opened, err := (&Maker{}).Open(t.Context(), s)
	require.NoError(t, err)
	got, err := opened.Collector.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.NoError(t, err)
	require.Len(t, got, 1)
	assert.Equal(t, "queue_length", got[0].Name)
	assert.Equal(t, 3.0, got[0].Value)
	assert.Equal(t, "a", got[0].Labels["site"])
	assert.Equal(t, "one", got[0].Labels["job"])
}
