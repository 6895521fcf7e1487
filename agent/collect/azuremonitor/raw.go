package azuremonitor

import (
	"slices"
	"strings"

	"github.com/novacron/novacron/agent/collect"
)

// rawRows are the rows of metrics that pass as they are.
func rawRows(raw Raw) (all []row) {
	aggregations := raw.Aggregations
	if len(aggregations) == 0 {
		aggregations = []string{average}
	}
	for _, metric := range raw.Metrics {
		for _, a := range aggregations {
			all = append(all, row{native: metric, aggregation: a, name: collect.AzureName(raw.ResourceType, metric, a), raw: true})
		}
	}
	return all
}

// rawQueries are those of one entry of the configuration.
func rawQueries(raw Raw, wants func(name string) bool) []query {
	rows := slices.DeleteFunc(rawRows(raw), func(r row) bool { return !wants(r.name) })
	all := queries(raw.ResourceType, rows, func(row) []string { return raw.Dimensions })
	for i := range all {
		all[i].key = "raw/" + all[i].key
	}
	return all
}

// rawDefinitions say what metrics pass as they are.
func rawDefinitions(raws []Raw) (all []collect.MetricDefinition) {
	for _, raw := range raws {
		labels := []string{"cloud_provider", "cloud_account_id", "cloud_region"}
		if strings.EqualFold(raw.ResourceType, machineType) {
			labels = append(labels, "vm_id", "vm_name")
		} else {
			labels = append(labels, "resource_id", "resource_name", "resource_group")
		}
		for _, d := range raw.Dimensions {
			labels = append(labels, collect.DimensionLabel(d))
		}
		for _, r := range rawRows(raw) {
			all = append(all, collect.MetricDefinition{
				Name: r.name, Type: collect.TypeGauge, Help: r.native + " (" + strings.ToLower(r.aggregation) + " of a minute) of " + raw.ResourceType + ", as Azure Monitor has it.",
				Labels: labels, Sources: []collect.Source{collect.AzureMonitor}, Optional: true,
			})
		}
	}
	return all
}

// rawLabels are those of a resource without a canonical name.
func rawLabels(subscription, region, id, name string) map[string]string {
	return with(map[string]string{"cloud_provider": "azure", "cloud_account_id": subscription, "cloud_region": region, "resource_id": id},
		"resource_name", name, "resource_group", groupOf(id))
}
