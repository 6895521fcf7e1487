package azuremonitor

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/azuremonitor/fakecloud"
	"github.com/novacron/novacron/tsdb"
)

// onLoopback is a cloud on a port of this machine, and a transport that goes nowhere else.
func onLoopback(t *testing.T) (c *fakecloud.Cloud, port int, transport http.RoundTripper) {
	c = fakecloud.New(t)
	on, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c.Serve(t, on)
	address := on.Addr().String()
	return c, on.Addr().(*net.TCPAddr).Port, c.TransportTo(t, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	})
}

// TestClientSecret asks for tokens as an application does, over TCP, and collects with them.
func TestClientSecret(t *testing.T) {
	c, _, transport := onLoopback(t)
	c.Add(fakecloud.Machine{ID: webID, VMID: vmID, Location: "westeurope", Size: "Standard_D4s_v5", Power: "running", Created: time.Now().Add(-time.Hour)})
	cfg := Config{
		Subscriptions: []string{subscription}, Stores: shelf{}.store, Transport: transport,
		Credentials: Credentials{TenantID: fakecloud.TenantID, ClientID: fakecloud.ClientID, ClientSecret: fakecloud.ClientSecret},
	}
	collector, err := New(t.Context(), cfg)
	require.NoError(t, err)
	metrics, err := collector.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.NoError(t, err)
	require.NotEmpty(t, valuesOf(metrics, "vm_cpu_utilization_ratio"))
	require.Equal(t, 2, c.Calls("token"), "one for each audience")

	cfg.Credentials.ClientSecret, cfg.Stores = "wrong", shelf{}.store
	collector, err = New(t.Context(), cfg)
	require.NoError(t, err)
	_, err = collector.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.ErrorContains(t, err, "no token by client secret of client "+fakecloud.ClientID+" in tenant "+fakecloud.TenantID+
		": AADSTS7000222: The provided client secret keys for app '"+fakecloud.ClientID+"' are expired.")
	require.ErrorContains(t, err, "Renew the secret")
	require.NotContains(t, err.Error(), "wrong")
}

// TestEndpoints has all services at other addresses, as behind a private link.
func TestEndpoints(t *testing.T) {
	c, port, _ := onLoopback(t)
	c.Add(fakecloud.Machine{ID: webID, VMID: vmID, Location: "westeurope", Size: "Standard_D4s_v5", Power: "running", Created: time.Now().Add(-time.Hour)})
	var hosts []string
	c.Faults = []fakecloud.Fault{func(w http.ResponseWriter, r *http.Request) bool {
		hosts = append(hosts, r.Host)
		return fakecloud.Fail(http.StatusServiceUnavailable, "ServerBusy", "")(w, r)
	}}
	transport := c.TransportTo(t, new(net.Dialer).DialContext)
	here := fmt.Sprintf("https://localhost:%d", port)
	collector, err := New(t.Context(), Config{
		Subscriptions: []string{subscription}, Stores: shelf{}.store, Transport: transport, Token: fakecloud.Credential{Cloud: c},
		Endpoints: Endpoints{ResourceManager: here, Metrics: here + "/{region}", Authority: here},
	})
	require.NoError(t, err)
	_, err = collector.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.ErrorContains(t, err, "503 ServerBusy: the service fails; the next collection asks again")
	require.Equal(t, []string{fmt.Sprintf("localhost:%d", port)}, hosts)
	require.Equal(t, here+"/westeurope", collector.metrics.dial.places.metricsOf("westeurope"))
}

func TestClouds(t *testing.T) {
	for name, want := range map[string]string{
		"": "https://north.metrics.monitor.azure.com", "public": "https://north.metrics.monitor.azure.com",
		"china": "https://north.metrics.monitor.azure.cn", "government": "https://north.metrics.monitor.azure.us",
	} {
		p, err := placesOf(name, Endpoints{})
		require.NoError(t, err)
		require.Equal(t, want, p.metricsOf("north"))
	}
	_, err := placesOf("moon", Endpoints{})
	require.ErrorContains(t, err, `cloud "moon"; use public, china or government`)
}

func TestWaysToAskForTokens(t *testing.T) {
	certificate := somePEM(t)
	for _, c := range []struct {
		name    string
		who     Credentials
		way     string
		refused string
	}{
		{"default", Credentials{}, "default chain", ""},
		{"secret", Credentials{TenantID: "t", ClientID: "c", ClientSecret: "s"}, "client secret of client c in tenant t", ""},
		{"certificate", Credentials{TenantID: "t", ClientID: "c", Certificate: certificate}, "client certificate of client c in tenant t", ""},
		{"managed", Credentials{ManagedIdentity: true}, "managed identity", ""},
		{"managed, of the user's", Credentials{ManagedIdentity: true, ClientID: "c"}, "managed identity of client c", ""},
		{"workload", Credentials{TenantID: "t", ClientID: "c", TokenFile: "/run/token"}, "workload identity of client c in tenant t", ""},
		{"two", Credentials{TenantID: "t", ClientID: "c", ClientSecret: "s", ManagedIdentity: true}, "", "both client secret and managed identity; leave one"},
		{"no tenant", Credentials{ClientID: "c", ClientSecret: "s"}, "", `by client secret: tenant "", client "c"; set both`},
		{"no certificate", Credentials{TenantID: "t", ClientID: "c", Certificate: []byte("x")}, "client certificate of client c in tenant t", "it is no PEM or PKCS #12"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(t.Context(), Config{Subscriptions: []string{subscription}, Stores: shelf{}.store, Credentials: c.who})
			if c.refused != "" {
				require.ErrorContains(t, err, c.refused)
			} else {
				require.NoError(t, err)
			}
			if c.way != "" {
				require.Equal(t, c.way, c.who.String())
			}
		})
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	cfg := Config{Credentials: Credentials{TenantID: "t", ClientID: "c", ClientSecret: "hush", CertificatePassword: "hush"}}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "who", cfg.Credentials)
	for _, text := range []string{fmt.Sprint(cfg.Credentials), fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), log.String()} {
		require.NotContains(t, text, "hush")
	}
}

func TestConfigurationsThatCannotBe(t *testing.T) {
	for says, alter := range map[string]func(*Config){
		"no subscription; name one at least":                     func(c *Config) { c.Subscriptions = nil },
		"no place to keep counters in; set Stores":               func(c *Config) { c.Stores = nil },
		`set "everything"; use ["basic"`:                         func(c *Config) { c.Sets = []Set{"everything"} },
		`resource type "storage"; write it as Microsoft.Storage`: func(c *Config) { c.Raw = []Raw{{ResourceType: "storage", Metrics: []string{"x"}}} },
		"no metrics of a/b are named":                            func(c *Config) { c.Raw = []Raw{{ResourceType: "a/b"}} },
		`metric "x,y" of a/b`:                                    func(c *Config) { c.Raw = []Raw{{ResourceType: "a/b", Metrics: []string{"x,y"}}} },
		`aggregation "Sum" of a/b; use Average, Total`: func(c *Config) {
			c.Raw = []Raw{{ResourceType: "a/b", Metrics: []string{"x"}, Aggregations: []string{"Sum"}}}
		},
		`cloud "moon"`: func(c *Config) { c.Cloud = "moon" },
	} {
		cfg := Config{Subscriptions: []string{subscription}, Stores: shelf{}.store}
		alter(&cfg)
		_, err := New(t.Context(), cfg)
		require.ErrorContains(t, err, says)
	}
	damaged := shelf{"budget": {state: []byte("{")}}
	_, err := New(t.Context(), Config{Subscriptions: []string{subscription}, Stores: damaged.store})
	require.ErrorContains(t, err, "state of a budget")
	_, err = (&Collector{}).CollectMetrics(t.Context(), tsdb.MetricsQuery{Aggregation: "sum"})
	require.Error(t, err)
	require.IsType(t, collect.MetricDefinition{}, rawDefinitions([]Raw{{ResourceType: "a/b", Metrics: []string{"x"}}})[0])
}

// somePEM is a certificate with its key.
func somePEM(t *testing.T) []byte {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
}
