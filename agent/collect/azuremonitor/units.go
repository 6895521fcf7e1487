package azuremonitor

import (
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/monitor/query/azmetrics"

	"github.com/novacron/novacron/agent/collect"
)

// fromUnit converts a unit whatever its case: the service and its documents write some of them both ways.
func fromUnit(unit string) (collect.Conversion, bool) {
	return collect.FromAzure(unitName(unit))
}

func unitName(unit string) string {
	for _, known := range azmetrics.PossibleMetricUnitValues() {
		if strings.EqualFold(unit, string(known)) {
			return string(known)
		}
	}
	return unit
}

// valueOf is what a point has of an aggregation; false where it has none.
func valueOf(p azmetrics.MetricValue, aggregation string) (float64, bool) {
	field := map[string]*float64{average: p.Average, total: p.Total, minimum: p.Minimum, maximum: p.Maximum, count: p.Count}[aggregation]
	if field == nil {
		return 0, false
	}
	return *field, true
}
