package azuremonitor

import (
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
)

// size is what a size of machines has.
type size struct {
	vcpus int
	// memory is in bytes.
	memory float64
	arch   string
	// temp says that machines of it have a temporary disk.
	temp bool
}

// sizeOf reads a SKU of machines. The service calls the unit of memory GB and means 2^30 bytes: its smallest size has
// 0.75 of them, which the older list of sizes tells as 768 MB. Sizes with fewer vCPUs than they are named for tell both
// numbers: those available count.
func sizeOf(sku *armcompute.ResourceSKU) (name string, s size, ok bool) {
	if !strings.EqualFold(deref(sku.ResourceType), "virtualMachines") {
		return "", s, false
	}
	has := map[string]string{}
	for _, c := range sku.Capabilities {
		has[deref(c.Name)] = deref(c.Value)
	}
	for _, capability := range []string{"vCPUsAvailable", "vCPUs"} {
		if n, err := strconv.Atoi(has[capability]); err == nil && s.vcpus == 0 {
			s.vcpus = n
		}
	}
	if gigabytes, err := strconv.ParseFloat(has["MemoryGB"], 64); err == nil {
		s.memory = gigabytes * (1 << 30)
	}
	if megabytes, err := strconv.ParseFloat(has["MaxResourceVolumeMB"], 64); err == nil {
		s.temp = megabytes > 0
	}
	s.arch = strings.ToLower(has["CpuArchitectureType"])
	return strings.ToLower(deref(sku.Name)), s, s.vcpus > 0
}
