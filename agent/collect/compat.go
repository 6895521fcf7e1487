package collect

import "context"

// NodeExporterNames is a sink that stores the metrics of hosts under the names and labels of Prometheus's node_exporter,
// for dashboards and rules that were written for those. What node_exporter does not have keeps its name.
type NodeExporterNames struct {
	Sink     Sink
	Registry *Registry
}

var _ Sink = NodeExporterNames{}

// StoreMetrics renames and stores.
func (n NodeExporterNames) StoreMetrics(ctx context.Context, metrics []Metric) error {
	renamed := make([]Metric, len(metrics))
	for i, m := range metrics {
		renamed[i] = n.rename(m)
	}
	return n.Sink.StoreMetrics(ctx, renamed)
}

func (n NodeExporterNames) rename(m Metric) Metric {
	def, known := n.Registry.Lookup(m.Name)
	if !known || def.NodeExporter == "" {
		return m
	}
	m.Name = def.NodeExporter
	m.Labels = nodeExporterLabels(m.Labels)
	return m
}

// nodeExporterLabels are those of a scrape of node_exporter by its usual job, and the host besides.
func nodeExporterLabels(labels map[string]string) map[string]string {
	next := map[string]string{"job": "node", "instance": labels["host"]}
	for name, value := range labels {
		switch name {
		case "interface":
			next["device"] = value
		case "source":
		default:
			next[name] = value
		}
	}
	return next
}
