package collect

// vmNetworkMetrics are those of a machine's network interfaces, from the guest's side.
func vmNetworkMetrics() []MetricDefinition {
	cards := []MetricDefinition{
		counter("vm_network_receive_bytes_total", "bytes", "Bytes received.", CloudWatch, CWAgent, AzureMonitor, GCM, OpsAgent, Libvirt).otel("system.network.io"),
		counter("vm_network_transmit_bytes_total", "bytes", "Bytes sent.", CloudWatch, CWAgent, AzureMonitor, GCM, OpsAgent, Libvirt).otel("system.network.io"),
		counter("vm_network_receive_packets_total", "", "Packets received.", CloudWatch, CWAgent, GCM, OpsAgent, Libvirt).otel("system.network.packet.count"),
		counter("vm_network_transmit_packets_total", "", "Packets sent.", CloudWatch, CWAgent, GCM, OpsAgent, Libvirt).otel("system.network.packet.count"),
		counter("vm_network_receive_errors_total", "", "Packets received with errors.", CWAgent, OpsAgent, Libvirt).otel("system.network.errors"),
		counter("vm_network_transmit_errors_total", "", "Packets that failed to be sent.", CWAgent, OpsAgent, Libvirt).otel("system.network.errors"),
		counter("vm_network_receive_dropped_total", "", "Packets dropped on the way in.", CWAgent, Libvirt).otel("system.network.packet.dropped"),
		counter("vm_network_transmit_dropped_total", "", "Packets dropped on the way out.", CWAgent, Libvirt).otel("system.network.packet.dropped"),
	}
	for i := range cards {
		cards[i].Labels = []string{"interface"}
	}
	return append(cards,
		counter("vm_network_firewall_dropped_packets_total", "", "Packets that the provider's firewall dropped.", GCM),
		counter("vm_network_firewall_dropped_bytes_total", "bytes", "Bytes that the provider's firewall dropped.", GCM),
		gauge("vm_network_flows", "", "Flows by direction.", AzureMonitor).by("direction"),
		gauge("vm_network_tcp_connections", "", "TCP connections of the guest by state.", CWAgent, OpsAgent).by("state").otel("system.network.connection.count"),
	)
}
