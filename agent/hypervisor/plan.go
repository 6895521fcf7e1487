package hypervisor

import "context"

// Plan gives the XML that a create of the definition would define here, or all reasons why this host refuses it. It changes
// nothing. Images are taken as present; their names stand for the places in the pools that they would get.
func (m *Manager) Plan(ctx context.Context, def *VMDefinition) (string, error) {
	facts, err := m.recentFacts(ctx)
	if err != nil {
		return "", err
	}
	if err := CheckHost(def, facts); err != nil {
		return "", err
	}
	t := Template{
		Accelerator: facts.Accelerator, ConsoleLogDir: m.config.ConsoleLogDir,
		Owner: Owner{ClusterID: m.config.ClusterID, Epoch: 1, Generation: 1}, Host: facts, CPUBaseline: m.config.CPUBaseline,
	}
	return t.GenerateXML(def)
}
