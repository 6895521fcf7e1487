// Package fakecloud is an Azure for tests: the resource manager, Azure Monitor's batch API and the token service, as they
// speak over HTTPS, in front of machines whose every amount is known.
package fakecloud

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/monitor/armmonitor/fake"
)

// Cloud is one. Its fields may be changed between calls.
type Cloud struct {
	World
	// PageSize is how many machines or resources a page of a list has; 0 means all.
	PageSize int
	// Skew is how far its clock is ahead of this machine's.
	Skew time.Duration
	// Faults are asked before each call is served; the first that answers does.
	Faults []Fault

	mu          sync.Mutex
	calls       map[string]int
	tokens      map[string]token
	issued      int
	definitions *fake.MetricDefinitionsServerTransport
	listener    *pipeListener
	server      *http.Server
	keys, roots *tls.Config
}

// Fault answers a call in place of the service, and tells whether it did.
type Fault func(w http.ResponseWriter, r *http.Request) bool

// New starts one that is reached through Transport alone; it ends with the test.
func New(t testing.TB) *Cloud {
	c := &Cloud{World: World{machines: map[string]*Machine{}, values: map[string]map[string]float64{}}, calls: map[string]int{}, tokens: map[string]token{}}
	c.definitions = c.definitionServer()
	certificate, roots := certificates(t)
	c.keys, c.roots = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, roots
	c.listener = newPipeListener()
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: time.Minute, TLSConfig: c.keys.Clone()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.server.ServeTLS(c.listener, "", "") // it ends with Close
	}()
	t.Cleanup(func() {
		_ = c.server.Close()
		<-ended
	})
	return c
}

// Serve answers on a listener of the network as well, until the test ends.
func (c *Cloud) Serve(t testing.TB, on net.Listener) {
	server := &http.Server{Handler: c, ReadHeaderTimeout: time.Minute, TLSConfig: c.keys.Clone()}
	go func() { _ = server.ServeTLS(on, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
}

// Transport sends every request here, whatever its host: none can leave. The host is checked as on the network.
func (c *Cloud) Transport(t testing.TB) http.RoundTripper {
	return c.TransportTo(t, func(ctx context.Context, _, _ string) (net.Conn, error) { return c.listener.dial(ctx) })
}

// TransportTo sends requests where a dialer goes.
func (c *Cloud) TransportTo(t testing.TB, dial func(ctx context.Context, network, address string) (net.Conn, error)) http.RoundTripper {
	transport := &http.Transport{DialContext: dial, TLSClientConfig: c.roots.Clone(), MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// Now is the time by its clock.
func (c *Cloud) Now() time.Time { return time.Now().Add(c.Skew).UTC() }

// Calls counts the calls of an API since the beginning: its last path segment, as metrics:getBatch; «status» for the
// list of states.
func (c *Cloud) Calls(api string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[api]
}

// ServeHTTP answers a call.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", c.Now().Format(http.TimeFormat))
	c.mu.Lock()
	c.calls[apiOf(r)]++
	faults := c.Faults
	c.mu.Unlock()
	for _, fault := range faults {
		if fault(w, r) {
			return
		}
	}
	switch {
	case strings.HasPrefix(r.Host, "login."):
		c.serveTokens(w, r)
	case !c.authorised(r):
		refuse(w, http.StatusUnauthorized, "ExpiredAuthenticationToken", "The access token has expired, is missing or is meant for another audience.")
	default:
		c.serve(w, r)
	}
}

// APIOf is what Calls counts a request as.
func APIOf(r *http.Request) string { return apiOf(r) }

func apiOf(r *http.Request) string {
	api := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if r.URL.Query().Get("statusOnly") == "true" {
		return "status"
	}
	return api
}

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	metrics := strings.Contains(r.Host, ".metrics.monitor.")
	switch api := apiOf(r); {
	case api == "metrics:getBatch" && metrics && r.Method == http.MethodPost:
		c.getBatch(w, r)
	case metrics || r.Method != http.MethodGet:
		refuse(w, http.StatusNotFound, "ResourceNotFound", r.Method+" "+r.URL.Path+" is not served at "+r.Host)
	case api == "virtualMachines":
		c.listMachines(w, r)
	case api == "status":
		c.listStates(w, r)
	case api == "skus":
		c.listSizes(w, r)
	case api == "resources":
		c.listResources(w, r)
	case api == "metricDefinitions":
		c.listDefinitions(w, r)
	default:
		refuse(w, http.StatusNotFound, "ResourceNotFound", r.URL.Path)
	}
}
