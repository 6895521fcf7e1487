package collect

import (
	"context"
	"maps"
	"testing"
)

// kept is a sink that remembers.
type kept struct{ metrics []Metric }

func (k *kept) StoreMetrics(_ context.Context, metrics []Metric) error {
	k.metrics = append(k.metrics, metrics...)
	return nil
}

func TestHostsGetTheNamesOfNodeExporter(t *testing.T) {
	sink := &kept{}
	received := Metric{Name: "host_network_receive_bytes_total", Labels: map[string]string{"host": "h1", "interface": "eth0", "source": "host"}, Value: 7}
	vcpus := Metric{Name: "host_vcpus_allocated", Labels: map[string]string{"host": "h1"}, Value: 2}
	machine := Metric{Name: "vm_vcpus", Labels: map[string]string{"vm_id": "1", "host": "h1"}, Value: 4}
	if err := (NodeExporterNames{Sink: sink, Registry: NewRegistry()}).StoreMetrics(t.Context(), []Metric{received, vcpus, machine}); err != nil {
		t.Fatal(err)
	}
	got := sink.metrics[0]
	want := map[string]string{"host": "h1", "instance": "h1", "job": "node", "device": "eth0"}
	if got.Name != "node_network_receive_bytes_total" || !maps.Equal(got.Labels, want) || got.Value != 7 {
		t.Errorf("got %s%v %v, want node_network_receive_bytes_total%v 7", got.Name, got.Labels, got.Value, want)
	}
	if received.Labels["interface"] != "eth0" || received.Labels["source"] != "host" {
		t.Error("the labels that were given are changed")
	}
	if sink.metrics[1].Name != vcpus.Name || sink.metrics[2].Name != machine.Name {
		t.Errorf("%s and %s have no name there, and lost theirs", sink.metrics[1].Name, sink.metrics[2].Name)
	}
}
