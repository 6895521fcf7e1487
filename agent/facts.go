package agent

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/cluster/node"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// What may be promised, where the settings of the agent say nothing.
const (
	defaultCPUOvercommit  = 4.0
	defaultReservedMemory = 512
)

// report is what this host has to say now.
func (d *daemon) report(ctx context.Context) (*agentv1.ReportRequest, error) {
	facts, err := d.machines.HostFacts(ctx)
	if err != nil {
		return nil, err
	}
	events, dropped := d.events.pending()
	if dropped > 0 {
		d.logger.Warn("events of the hypervisor were dropped: they came faster than they could be reported", "dropped", dropped)
	}
	info := hostInfo(facts, d.cfg)
	info.NetworkFaults = d.networks.report()
	return &agentv1.ReportRequest{
		Info: info, Vms: d.guests.add(d.reconciler.Observations()), Volumes: d.volumes.Observations(), Events: events, BootId: d.events.bootID,
		MetricJobs: d.jobs.Observations(), MetricForwards: d.forwards.Observations(), MetricUsage: d.limits.usage(),
	}, nil
}

// reported is told of a report that was answered.
func (d *daemon) reported(report *agentv1.ReportRequest, answer *agentv1.ReportResponse, asked time.Time) {
	d.events.reported(report.GetEvents())
	d.jobs.Granted(asked, answer.GetMetricLeases())
}

// hostInfo is the host as the cluster sees it. It holds nothing that changes by itself, so that equal hosts report equally.
func hostInfo(facts hypervisor.HostFacts, cfg Config) *novacronv1.HostInfo {
	info := &novacronv1.HostInfo{
		ApiAddress: cfg.Node.API, Version: cfg.Version, Arch: facts.Arch, Capacity: capacity(facts, cfg.Node.Agent), Labels: cfg.Node.Agent.Labels,
		Driver: facts.Driver, HypervisorVersion: facts.HypervisorVersion, LibvirtVersion: facts.LibvirtVersion, Accelerator: facts.Accelerator,
		MachineTypes: machineTypes(facts), Networks: facts.Networks, Bridges: facts.Bridges, CpuModel: facts.CPUModel, Firmwares: facts.Firmwares,
	}
	info.CpuSignature = facts.CPUSignature
	if facts.Guest != nil {
		info.CpuModels = facts.Guest.CPUModels
	}
	for _, pool := range facts.Pools {
		info.Pools = append(info.Pools, pool.Name)
	}
	info.CpuNodes = cpuNodes(facts.CPUNodes)
	return info
}

func cpuNodes(nodes []hypervisor.CPUNode) (all []*novacronv1.CPUNode) {
	for _, node := range nodes {
		one := &novacronv1.CPUNode{Id: uint32(node.ID)}
		for _, core := range node.Cores {
			cpus := &novacronv1.CPUCore{}
			for _, cpu := range core {
				cpus.Cpus = append(cpus.Cpus, uint32(cpu))
			}
			one.Cores = append(one.Cores, cpus)
		}
		all = append(all, one)
	}
	return all
}

// machineTypes are the types that a machine may ask for: versioned ones and aliases.
func machineTypes(facts hypervisor.HostFacts) []string {
	types := slices.AppendSeq(slices.Clone(facts.MachineTypes), maps.Keys(facts.MachineAliases))
	slices.Sort(types)
	return slices.Compact(types)
}

// capacity is what may be promised to machines: CPUs times overcommit, memory less what the host needs, and the pools.
func capacity(facts hypervisor.HostFacts, settings node.AgentConfig) *novacronv1.Resources {
	overcommit := cmp.Or(settings.CPUOvercommit, defaultCPUOvercommit)
	reserved := cmp.Or(settings.ReservedMemoryMB, defaultReservedMemory)
	var disk uint64
	for _, pool := range facts.Pools {
		disk += pool.CapacityBytes >> 30
	}
	return &novacronv1.Resources{
		Cpus: uint32(math.Floor(float64(facts.CPUs) * overcommit)), MemoryMb: uint64(max(0, facts.MemoryMB-reserved)), DiskGb: disk,
	}
}
