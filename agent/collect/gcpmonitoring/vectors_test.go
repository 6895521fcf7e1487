package gcpmonitoring

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestVectors are the examples of the normalisation rules that are Google's.
func TestVectors(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.metric(instancePrefix+"cpu/utilization", "10^2.%", gaugeKind, 0.42, map[string]string{"instance_name": "one"})
		w.metric(instancePrefix+"network/received_bytes_count", "By", deltaKind, 50,
			map[string]string{"instance_name": "one", "loadbalanced": "true"}, map[string]string{"instance_name": "one", "loadbalanced": "false"})
		w.open()
		w.wait(10 * time.Minute)
		metrics := w.whole()
		cpu := find(metrics, "vm_cpu_utilization_ratio")
		require.NotEmpty(w.t, cpu)
		require.InDelta(t, 0.42, cpu[0].Value, 0)
		require.Equal(t, map[string]string{"cloud_provider": "gcp", "cloud_account_id": testProject, "cloud_region": "europe-west4", "vm_id": "11", "vm_name": "one"}, cpu[0].Labels)
		received := find(metrics, "vm_network_receive_bytes_total", "interface", "_all", "source", "gcm")
		require.Len(t, received, 6, "the periods that are final and ended after the collector began")
		for i, m := range received {
			require.InDelta(t, 100*float64(i+1), m.Value, 0)
		}
		require.Empty(t, w.refused)
	})
}
