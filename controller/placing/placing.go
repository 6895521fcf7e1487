// Package placing shows the replicated state to the scheduler in the scheduler's own terms.
package placing

import (
	"github.com/novacron/novacron/controller/sched"
	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// HostsOf is what the scheduler sees of the hosts.
func HostsOf(view state.View) []sched.Host {
	var hosts []sched.Host
	for id, host := range view.Hosts("") {
		info := host.GetInfo()
		var guests []map[string]string
		for vm := range view.VMsOf(id) {
			guests = append(guests, vm.GetSpec().GetLabels())
		}
		hosts = append(hosts, sched.Host{
			ID: host.GetId(), Name: host.GetName(), Up: host.GetState() == novacronv1.HostState_HOST_STATE_UP, Arch: info.GetArch(),
			Capacity: resources(info.GetCapacity()), Used: resources(host.GetAllocated()), Labels: info.GetLabels(),
			Pools: info.GetPools(), Networks: info.GetNetworks(), Bridges: info.GetBridges(),
			Machines: info.GetMachineTypes(), Firmware: info.GetFirmwares(), Guests: guests,
		})
	}
	return hosts
}

// RequestOf is what the scheduler sees of a machine.
func RequestOf(vm *novacronv1.VM) sched.Request {
	spec := vm.GetSpec()
	request := sched.Request{
		ID: vm.GetId(), Arch: spec.GetArch(), Need: resources(state.Needs(spec)), Machine: spec.GetMachine(), Firmware: spec.GetFirmware(),
		Host: spec.GetPlacement().GetHost(), Labels: spec.GetPlacement().GetHostLabels(),
		NotHosts: spec.GetPlacement().GetNotHosts(), Own: spec.GetLabels(),
		Affinity: spec.GetPlacement().GetAffinity(), AntiAffinity: spec.GetPlacement().GetAntiAffinity(),
	}
	if spec.GetDiskGb() > 0 || spec.GetImage() != "" {
		request.Pools = append(request.Pools, spec.GetPool())
	}
	for _, volume := range spec.GetVolumes() {
		request.Pools = append(request.Pools, volume.GetPool())
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
