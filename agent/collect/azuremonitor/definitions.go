package azuremonitor

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/monitor/armmonitor"
)

// definition is what the service says of one of its metrics.
type definition struct {
	dimensions []string
	// grains are the periods that it is kept in.
	grains []string
}

// definedIn are the metrics that a type of resource has in a region, by name in lower case, as one of its resources
// tells. The service refuses a whole call for one metric that it does not have there.
func (a *account) definedIn(ctx context.Context, region, resourceType, sample string, now time.Time) (map[string]definition, bool, error) {
	key := region + "|" + strings.ToLower(resourceType)
	return a.defined.get(ctx, key, now, func(ctx context.Context) (map[string]definition, error) {
		there := map[string]definition{}
		options := &armmonitor.MetricDefinitionsClientListOptions{Metricnamespace: to.Ptr(resourceType)}
		pager := a.definitions.NewListPager(strings.TrimPrefix(sample, "/"), options)
		err := pages(ctx, pager, func(page armmonitor.MetricDefinitionsClientListResponse) {
			for _, d := range page.Value {
				if d.Name != nil {
					there[strings.ToLower(deref(d.Name.Value))] = definitionOf(d)
				}
			}
		})
		return there, err
	})
}

func definitionOf(d *armmonitor.MetricDefinition) (one definition) {
	for _, dimension := range d.Dimensions {
		one.dimensions = append(one.dimensions, strings.ToLower(deref(dimension.Value)))
	}
	for _, a := range d.MetricAvailabilities {
		one.grains = append(one.grains, deref(a.TimeGrain))
	}
	return one
}

// lacks says why a metric cannot be asked for; empty where it can be.
func lacks(defined map[string]definition, native string, dimensions []string) string {
	d, is := defined[strings.ToLower(native)]
	switch {
	case !is:
		return "it does not exist there"
	case len(d.grains) > 0 && !slices.Contains(d.grains, grainISO):
		return "it is not kept by the minute"
	}
	for _, want := range dimensions {
		if !slices.Contains(d.dimensions, strings.ToLower(want)) {
			return "it has no dimension " + want
		}
	}
	return ""
}
