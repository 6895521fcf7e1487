// Package placing shows the replicated state to the scheduler in the scheduler's own terms.
package placing

import (
	"cmp"
	"slices"

	"github.com/novacron/novacron/controller/sched"
	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// HostsOf is what the scheduler sees of the hosts, as far as the requests care: their processors in detail only where one
// wants some for its own.
func HostsOf(view state.View, requests []sched.Request) []sched.Host {
	dedicated := slices.ContainsFunc(requests, func(r sched.Request) bool { return r.CPU.Dedicated })
	var hosts []sched.Host
	for id, host := range view.Hosts("") {
		info := host.GetInfo()
		one := sched.Host{
			ID: host.GetId(), Name: host.GetName(), Up: host.GetState() == novacronv1.HostState_HOST_STATE_UP, Arch: info.GetArch(),
			Capacity: resources(info.GetCapacity()), Used: resources(host.GetAllocated()), Labels: info.GetLabels(),
			Pools: info.GetPools(), Networks: info.GetNetworks(), Bridges: info.GetBridges(),
			Machines: info.GetMachineTypes(), Firmware: info.GetFirmwares(),
			Draining: host.GetDraining(),
		}
		if dedicated {
			one.Nodes = nodesOf(info)
		}
		for machine := range view.VMsOf(id) {
			one.Guests = append(one.Guests, machine.GetSpec().GetLabels())
			one.Own = append(one.Own, ints(machine.GetHostCpus().GetOwn())...)
			one.Pinned = append(one.Pinned, ints(machine.GetHostCpus().GetShared())...)
		}
		hosts = append(hosts, one)
	}
	return hosts
}

// RequestOf is what the scheduler sees of a machine, whose volumes are those of the view.
func RequestOf(view state.View, machine *novacronv1.VM) sched.Request {
	spec := machine.GetSpec()
	request := sched.Request{
		ID: machine.GetId(), Arch: spec.GetArch(), Need: resources(state.Needs(spec)), Machine: spec.GetMachine(), Firmware: spec.GetFirmware(),
		Host: spec.GetPlacement().GetHost(), Labels: spec.GetPlacement().GetHostLabels(),
		NotHosts: spec.GetPlacement().GetNotHosts(), Own: spec.GetLabels(),
		CPU:      cpuNeedOf(spec),
		Affinity: spec.GetPlacement().GetAffinity(), AntiAffinity: spec.GetPlacement().GetAntiAffinity(),
	}
	if spec.GetDiskGb() > 0 || spec.GetImage() != "" {
		request.Pools = append(request.Pools, spec.GetPool())
	}
	for _, volume := range spec.GetVolumes() {
		request.Pools = append(request.Pools, volume.GetPool())
	}
	for _, volume := range view.VolumesUsed(spec) {
		request.Volumes = append(request.Volumes, sched.Volume{Name: volume.GetSpec().GetName(), HostID: volume.GetHostId(), HostName: cmp.Or(volume.GetHostName(), "no host")})
	}
	for _, nic := range spec.GetNetworkInterfaces() {
		if nic.GetNetwork() != "" {
			request.Networks = append(request.Networks, nic.GetNetwork())
		}
		if nic.GetBridge() != "" {
			request.Bridges = append(request.Bridges, nic.GetBridge())
		}
	}
	return request
}

func resources(r *novacronv1.Resources) sched.Resources {
	return sched.Resources{CPUs: int64(r.GetCpus()), MemoryMB: int64(r.GetMemoryMb()), DiskGB: int64(r.GetDiskGb())}
}
