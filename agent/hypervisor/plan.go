package hypervisor

import (
	"context"
	"slices"

	"github.com/novacron/novacron/vm/network"
)

// Plan gives the XML that a create of the definition would define here, or all reasons why this host refuses it. It changes
// nothing. Images are taken as present; their names stand for the places in the pools that they would get.
func (m *Manager) Plan(ctx context.Context, def *VMDefinition) (string, error) {
	facts, err := m.recentFacts(ctx)
	if err != nil {
		return "", err
	}
	facts.NetworkFilters = withGroups(def, facts.NetworkFilters)
	if err := CheckHost(def, facts); err != nil {
		return "", err
	}
	t := Template{
		Accelerator: facts.Accelerator, ConsoleLogDir: m.config.ConsoleLogDir,
		Owner: Owner{ClusterID: m.config.ClusterID, Epoch: 1, Generation: 1}, Host: facts, CPUBaseline: m.baseline(),
	}
	return t.GenerateXML(def)
}

// withGroups adds the cluster's security groups, which a host makes when the first machine needs them.
func withGroups(def *VMDefinition, filters []string) []string {
	if len(filters) == 0 {
		return filters
	}
	filters = slices.Clone(filters)
	for _, n := range def.NetworkInterfaces {
		if n.SecurityGroup != "" && !slices.Contains(network.BuiltIn(), n.SecurityGroup) {
			filters = append(filters, n.SecurityGroup)
		}
	}
	return filters
}
