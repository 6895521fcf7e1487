package vm

import (
	"math"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// ToProto turns a definition into its form on the wire. Numbers that do not fit there, which Validate refuses, are
// brought to the nearest that does.
func ToProto(def Definition) *novacronv1.VMSpec {
	def = Clone(def)
	spec := &novacronv1.VMSpec{
		Name: def.Name, Project: def.Project, Uuid: def.UUID,
		Labels: def.Labels, Annotations: def.Annotations,
		OsType: def.OSType, OsVersion: def.OSVersion, Arch: def.Arch,
		Cpus: wire(def.CPUs), MemoryMb: wire(def.MemoryMB), DiskGb: wire(def.DiskGB),
		Image: def.Image, Pool: def.Pool,
		Machine: def.Machine, Firmware: def.Firmware, StopTimeoutSeconds: wire(def.StopTimeoutSeconds),
	}
	for _, v := range def.Volumes {
		spec.Volumes = append(spec.Volumes, &novacronv1.VolumeSpec{
			Name: v.Name, Pool: v.Pool, SizeGb: wire(v.SizeGB), Format: v.Format, Image: v.Image, Bus: v.Bus,
		})
	}
	for _, n := range def.NetworkInterfaces {
		spec.NetworkInterfaces = append(spec.NetworkInterfaces, &novacronv1.NetworkInterfaceSpec{
			Network: n.Network, Bridge: n.Bridge, Model: n.Model, Mac: n.MAC,
		})
	}
	if b := def.Boot; b != nil {
		spec.Boot = &novacronv1.DirectBoot{Kernel: b.Kernel, Initrd: b.Initrd, Cmdline: b.Cmdline}
	}
	if p := def.Placement; p.Host != "" || len(p.HostLabels) > 0 {
		spec.Placement = &novacronv1.Placement{Host: p.Host, HostLabels: p.HostLabels}
	}
	return spec
}

// FromProto is the reverse of ToProto. It shares no memory with spec; nil gives the empty definition.
func FromProto(spec *novacronv1.VMSpec) Definition {
	def := Definition{
		Name: spec.GetName(), Project: spec.GetProject(), UUID: spec.GetUuid(),
		Labels: spec.GetLabels(), Annotations: spec.GetAnnotations(),
		OSType: spec.GetOsType(), OSVersion: spec.GetOsVersion(), Arch: spec.GetArch(),
		CPUs: int(spec.GetCpus()), MemoryMB: int(spec.GetMemoryMb()), DiskGB: int(spec.GetDiskGb()),
		Image: spec.GetImage(), Pool: spec.GetPool(),
		Machine: spec.GetMachine(), Firmware: spec.GetFirmware(), StopTimeoutSeconds: int(spec.GetStopTimeoutSeconds()),
		Placement: Placement{Host: spec.GetPlacement().GetHost(), HostLabels: spec.GetPlacement().GetHostLabels()},
	}
	for _, v := range spec.GetVolumes() {
		def.Volumes = append(def.Volumes, Volume{
			Name: v.GetName(), Pool: v.GetPool(), SizeGB: int(v.GetSizeGb()), Format: v.GetFormat(), Image: v.GetImage(), Bus: v.GetBus(),
		})
	}
	for _, n := range spec.GetNetworkInterfaces() {
		def.NetworkInterfaces = append(def.NetworkInterfaces, NetworkInterface{
			Network: n.GetNetwork(), Bridge: n.GetBridge(), Model: n.GetModel(), MAC: n.GetMac(),
		})
	}
	if b := spec.GetBoot(); b != nil {
		def.Boot = &DirectBoot{Kernel: b.GetKernel(), Initrd: b.GetInitrd(), Cmdline: b.GetCmdline()}
	}
	return Clone(def)
}

// wire brings a number into the range of its field.
func wire(n int) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }
