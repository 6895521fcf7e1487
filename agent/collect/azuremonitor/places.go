package azuremonitor

import (
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/monitor/query/azmetrics"
)

// regionMark is replaced by the region in the address of metrics.
const regionMark = "{region}"

// places are the addresses of a cloud.
type places struct {
	config cloud.Configuration
	// metrics is the address of metrics with a mark for the region.
	metrics string
}

// metricsOf is the address of a region's metrics.
func (p places) metricsOf(region string) string {
	return strings.ReplaceAll(p.metrics, regionMark, region)
}

// placesOf are those of a cloud by its name, with what is to be elsewhere.
func placesOf(name string, elsewhere Endpoints) (places, error) {
	known := map[string]places{
		"":           {cloud.AzurePublic, "https://{region}.metrics.monitor.azure.com"},
		"public":     {cloud.AzurePublic, "https://{region}.metrics.monitor.azure.com"},
		"china":      {cloud.AzureChina, "https://{region}.metrics.monitor.azure.cn"},
		"government": {cloud.AzureGovernment, "https://{region}.metrics.monitor.azure.us"},
	}
	p, ok := known[name]
	if !ok {
		return places{}, fmt.Errorf("cloud %q; use public, china or government", name)
	}
	manager := p.config.Services[cloud.ResourceManager]
	p.config = cloud.Configuration{
		ActiveDirectoryAuthorityHost: or(elsewhere.Authority, p.config.ActiveDirectoryAuthorityHost),
		Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			cloud.ResourceManager: {Audience: manager.Audience, Endpoint: or(elsewhere.ResourceManager, manager.Endpoint)},
			azmetrics.ServiceName: p.config.Services[azmetrics.ServiceName],
		},
	}
	p.metrics = or(elsewhere.Metrics, p.metrics)
	return p, nil
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
