package placing

import (
	"slices"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// modelsByAge are the processor models of x86-64 in libvirt's words, each better than those before it, as far as a guest can
// tell. Those with mitigations come after those without; variants without TSX are what today's processors have.
func modelsByAge() []string {
	return []string{
		"qemu64", "kvm64", "Conroe", "Penryn", "Opteron_G3", "Nehalem", "Nehalem-IBRS", "Westmere", "Westmere-IBRS", "Opteron_G4", "Opteron_G5",
		"SandyBridge", "SandyBridge-IBRS", "IvyBridge", "IvyBridge-IBRS", "Haswell-noTSX", "Haswell-noTSX-IBRS", "Broadwell-noTSX",
		"Broadwell-noTSX-IBRS", "Skylake-Client-noTSX-IBRS", "EPYC", "EPYC-IBPB", "Skylake-Server-noTSX-IBRS", "Cascadelake-Server-noTSX",
		"EPYC-Rome", "Icelake-Server-noTSX", "EPYC-Milan", "SapphireRapids", "EPYC-Genoa",
	}
}

// CPUBaselines gives, by architecture, the best processor model that every host with KVM has, where their processors differ.
// A host that tells no models takes its architecture out: nothing can be promised for it.
func CPUBaselines(view state.View) map[string]string {
	processors := map[string][]*novacronv1.HostInfo{}
	for _, host := range view.Hosts("") {
		if info := host.GetInfo(); info.GetAccelerator() == "kvm" {
			processors[info.GetArch()] = append(processors[info.GetArch()], info)
		}
	}
	baselines := map[string]string{}
	for arch, hosts := range processors {
		if model := baseline(hosts); model != "" {
			baselines[arch] = model
		}
	}
	return baselines
}

// baseline is that of hosts of one architecture.
func baseline(hosts []*novacronv1.HostInfo) string {
	unlike := slices.ContainsFunc(hosts, func(h *novacronv1.HostInfo) bool { return h.GetCpuSignature() != hosts[0].GetCpuSignature() })
	if !unlike {
		return ""
	}
	models := modelsByAge()
	for i := len(models) - 1; i >= 0; i-- {
		everywhere := !slices.ContainsFunc(hosts, func(h *novacronv1.HostInfo) bool { return !slices.Contains(h.GetCpuModels(), models[i]) })
		if everywhere {
			return models[i]
		}
	}
	return ""
}
