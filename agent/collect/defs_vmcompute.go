package collect

// gauge, and the other constructors of definitions, keep the tables readable: a row per metric.
func gauge(name, unit, help string, sources ...Source) MetricDefinition {
	return MetricDefinition{Name: name, Type: TypeGauge, Unit: unit, Help: help, Sources: sources}
}

func counter(name, unit, help string, sources ...Source) MetricDefinition {
	return MetricDefinition{Name: name, Type: TypeCounter, Unit: unit, Help: help, Sources: sources}
}

func (d MetricDefinition) by(labels ...string) MetricDefinition {
	d.Labels = labels
	return d
}

func (d MetricDefinition) otel(name string) MetricDefinition {
	d.OTel = name
	return d
}

func (d MetricDefinition) node(name string) MetricDefinition {
	d.NodeExporter = name
	return d
}

func (d MetricDefinition) optional() MetricDefinition {
	d.Optional = true
	return d
}

// vmComputeMetrics are those of a machine's processors.
func vmComputeMetrics() []MetricDefinition {
	return []MetricDefinition{
		gauge("vm_cpu_utilization_ratio", "ratio", "Share of all vCPUs in use; bursting types may exceed 1.", CloudWatch, CWAgent, AzureMonitor, GCM, Libvirt).otel("system.cpu.utilization"),
		counter("vm_cpu_seconds_total", "seconds", "CPU time used, of all vCPUs.", GCM, Libvirt).otel("system.cpu.time"),
		counter("vm_cpu_mode_seconds_total", "seconds", "CPU time by mode; from libvirt that of the hypervisor process, not of the guest's modes.", OpsAgent, Libvirt).by("mode").otel("system.cpu.time"),
		gauge("vm_cpu_mode_ratio", "ratio", "Share of CPU time by mode, as the guest sees it.", CWAgent, OpsAgent).by("mode").otel("system.cpu.utilization"),
		gauge("vm_vcpus", "", "vCPUs now.", CloudWatch, AzureMonitor, GCM, Libvirt).otel("system.cpu.logical.count"),
		gauge("vm_vcpus_limit", "", "Most vCPUs that can be plugged.", Libvirt),
		gauge("vm_vcpus_reserved", "", "Cores that are reserved; 0.5 on shared cores.", GCM),
		counter("vm_vcpu_seconds_total", "seconds", "Time that a vCPU ran.", Libvirt).by("vcpu"),
		counter("vm_vcpu_wait_seconds_total", "seconds", "Time that a vCPU waited for I/O; 0 unless the kernel keeps scheduler statistics.", Libvirt).by("vcpu"),
		counter("vm_vcpu_steal_seconds_total", "seconds", "Time that a vCPU waited in the host's run queue: the guest's steal.", Libvirt).by("vcpu"),
		counter("vm_cpu_steal_seconds_total", "seconds", "Time that the vCPUs together waited for a processor.", GCM, Libvirt),
		gauge("vm_vcpu_state", "", "1 for the state that a vCPU is in, 0 for the others.", Libvirt).by("vcpu", "state"),
		gauge("vm_vcpu_halted", "", "1 while a vCPU is halted by the guest.", Libvirt).by("vcpu"),
		counter("vm_cpu_haltpoll_seconds_total", "seconds", "Time spent polling before a halt, by result.", Libvirt).by("result"),
		gauge("vm_cpu_credits_remaining", "", "CPU credits left; one is a vCPU-minute.", CloudWatch, AzureMonitor),
		counter("vm_cpu_credits_spent_total", "", "CPU credits spent; one is a vCPU-minute.", CloudWatch),
		gauge("vm_cpu_surplus_credits", "", "CPU credits spent beyond those earned.", CloudWatch),
		counter("vm_pressure_cpu_waiting_seconds_total", "seconds", "Time that some task of the machine waited for a processor.", Libvirt),
		counter("vm_pressure_memory_waiting_seconds_total", "seconds", "Time that some task of the machine waited for memory.", Libvirt),
		counter("vm_pressure_io_waiting_seconds_total", "seconds", "Time that some task of the machine waited for I/O.", Libvirt),
		counter("vm_pressure_memory_stalled_seconds_total", "seconds", "Time that all tasks of the machine waited for memory.", Libvirt),
		counter("vm_pressure_io_stalled_seconds_total", "seconds", "Time that all tasks of the machine waited for I/O.", Libvirt),
	}
}
