package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/novacron/novacron/cluster/pki"
	api "github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

const (
	// maxAnswer bounds one message from the cluster: a page of a thousand machines takes about 2 MiB.
	maxAnswer = 16 << 20
	// virtualHost stands for whichever endpoint answers; failover puts the real one in.
	virtualHost = "https://cluster.novacron.internal"

	dialTimeout = 5 * time.Second
	// A connection that is silent this long is asked whether it is alive, and given up when it does not say so.
	pingAfter   = 10 * time.Second
	pingTimeout = 5 * time.Second

	consistencyHeader = "Novacron-Consistency"
)

// client calls the controllers of one cluster.
type client struct {
	vms       api.VMServiceClient
	images    api.ImageServiceClient
	hosts     api.HostServiceClient
	cluster   api.ClusterServiceClient
	templates api.TemplateServiceClient
	networks  api.NetworkServiceClient
	groups    api.SecurityGroupServiceClient
	storage   api.StorageServiceClient
	metrics   api.MetricServiceClient
	forwards  api.MetricForwardServiceClient

	eventService api.EventServiceClient
	events       eventStream

	calls     *retrier
	endpoints *failover
	transport *http.Transport
}

// dial makes a client of the chosen context. It connects on the first call.
func (a *app) dial() (*client, error) {
	path, cfg, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	ctx, err := a.chooseContext(path, cfg)
	if err != nil {
		return nil, err
	}
	if len(a.endpoints) > 0 {
		ctx.Endpoints = a.endpoints
	}
	return a.dialContext(ctx)
}

func (a *app) dialContext(ctx Context) (*client, error) {
	if err := ctx.validate(); err != nil {
		return nil, err
	}
	for _, endpoint := range ctx.Endpoints {
		if _, _, err := net.SplitHostPort(endpoint); err != nil {
			return nil, usagef("endpoint %q is not host:port: %w", endpoint, err)
		}
	}
	credentials, err := ctx.credentials()
	if err != nil {
		return nil, err
	}
	if end := credentials.Expires(); a.io.Now().After(end) {
		return nil, &fault{
			what: fmt.Sprintf("the certificate of context %q ended on %s", ctx.Name, end.UTC().Format(time.RFC3339)),
			hint: "ask an administrator for a token and run `novacron cluster join` again",
		}
	}
	transport := newTransport(credentials)
	endpoints := &failover{next: transport, endpoints: ctx.Endpoints}
	calls := &retrier{timeout: a.timeout, endpoints: endpoints}
	options := []connect.ClientOption{
		connect.WithReadMaxBytes(maxAnswer),
		connect.WithInterceptors(header{a.consistency.value}, calls),
	}
	c := &client{
		vms:       api.NewVMServiceClient(endpoints, virtualHost, options...),
		images:    api.NewImageServiceClient(endpoints, virtualHost, options...),
		hosts:     api.NewHostServiceClient(endpoints, virtualHost, options...),
		cluster:   api.NewClusterServiceClient(endpoints, virtualHost, options...),
		storage:   api.NewStorageServiceClient(endpoints, virtualHost, options...),
		calls:     calls,
		endpoints: endpoints,
		transport: transport,

		templates: api.NewTemplateServiceClient(endpoints, virtualHost, options...),
		networks:  api.NewNetworkServiceClient(endpoints, virtualHost, options...),
		metrics:   api.NewMetricServiceClient(endpoints, virtualHost, options...),
		forwards:  api.NewMetricForwardServiceClient(endpoints, virtualHost, options...),
		groups:    api.NewSecurityGroupServiceClient(endpoints, virtualHost, options...),

		eventService: api.NewEventServiceClient(endpoints, virtualHost, options...),
	}
	c.events = eventStream{c}
	return c, nil
}

// newTransport speaks HTTP/2 over mutual TLS to controllers only.
func newTransport(credentials *pki.Credentials) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     credentials.ClientTLS(pki.RoleController),
		TLSHandshakeTimeout: dialTimeout,
		Protocols:           protocols,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// header sends how fresh reads must be.
type header struct{ consistency string }

// WrapUnary implements connect.Interceptor.
func (h header) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		h.set(req.Header())
		return next(ctx, req)
	}
}

// WrapStreamingClient implements connect.Interceptor.
func (h header) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		h.set(conn.RequestHeader())
		return conn
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (header) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

func (h header) set(to http.Header) {
	if h.consistency != "" {
		to.Set(consistencyHeader, h.consistency)
	}
}
