package azuremonitor

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/monitor/query/azmetrics"

	"github.com/novacron/novacron/agent/collect/cloud"
)

// dialer makes the SDK's clients.
type dialer struct {
	cfg    Config
	access *cloud.Access
	places places
	send   *transport
	token  azcore.TokenCredential
}

// credential is what gives tokens.
func (d dialer) credential() (azcore.TokenCredential, error) {
	if d.cfg.Token != nil {
		return d.cfg.Token, nil
	}
	return d.cfg.Credentials.token(azcore.ClientOptions{Cloud: d.places.config, Transport: d.send, Telemetry: policy.TelemetryOptions{Disabled: true}})
}

// options are those of a client of one API, which keeps the pace of a subscription. The SDK's own retries are off: they
// do not know how long the service asks others to wait.
func (d dialer) options(subscription, api string, perSecond float64, burst int) azcore.ClientOptions {
	keeper := &gatekeeper{
		api: api, door: d.access.To(subscription, api, perSecond, burst), meter: d.cfg.Meter, deadline: d.cfg.Deadline,
	}
	return azcore.ClientOptions{
		Cloud: d.places.config, Transport: d.send, Retry: policy.RetryOptions{MaxRetries: -1},
		Telemetry: policy.TelemetryOptions{ApplicationID: "novacron"}, PerCallPolicies: []policy.Policy{keeper},
	}
}

// manager are the options of a client of the resource manager, which must not register providers: that is not for one
// who reads.
func (d dialer) manager(subscription, api string) *arm.ClientOptions {
	return &arm.ClientOptions{ClientOptions: d.options(subscription, api, managerPerSecond, managerBurst), DisableRPRegistration: true}
}

// metricClients are those of metrics, by subscription and region: each region has its own address and pace.
type metricClients struct {
	dial dialer

	mu      sync.Mutex
	clients map[string]*azmetrics.Client
}

func (m *metricClients) of(subscription, region string) (*azmetrics.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := subscription + "/" + region
	if known := m.clients[key]; known != nil {
		return known, nil
	}
	if strings.Trim(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || region == "" {
		return nil, fmt.Errorf("region %.40q has no address; it would be letters and digits", region)
	}
	address := m.dial.places.metricsOf(region)
	options := &azmetrics.ClientOptions{ClientOptions: m.dial.options(key, apiMetrics, metricsPerSecond, metricsBurst)}
	client, err := azmetrics.NewClient(address, m.dial.token, options)
	if err != nil {
		return nil, err
	}
	if m.clients == nil {
		m.clients = map[string]*azmetrics.Client{}
	}
	m.clients[key] = client
	return client, nil
}

// timeFormat is that of the times to ask for.
const timeFormat = "2006-01-02T15:04:05.000Z"

// ask makes the call of a batch for some of its resources.
func (m *metricClients) ask(ctx context.Context, b batch, ids []string) ([]azmetrics.MetricData, error) {
	client, err := m.of(b.subscription, b.region)
	if err != nil {
		return nil, err
	}
	options := &azmetrics.QueryResourcesOptions{
		Aggregation: to.Ptr(b.query.aggregations()), Interval: to.Ptr(grainISO),
		StartTime: to.Ptr(b.window.From.UTC().Format(timeFormat)), EndTime: to.Ptr(b.window.To.UTC().Format(timeFormat)),
	}
	if filter := b.query.filter(); filter != "" {
		options.Filter, options.Top = &filter, to.Ptr(int32(maxSeries))
	}
	answer, err := client.QueryResources(ctx, b.subscription, b.query.resourceType, b.query.metrics(), azmetrics.ResourceIDList{ResourceIDs: ids}, options)
	return answer.Values, err
}
