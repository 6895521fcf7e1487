package hypervisor

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A change that was cut off leaves some threads where they were: that is not yet what was asked for.
func TestHalfTiedIsNotTied(t *testing.T) {
	all, free := []int{0, 1, 2, 3}, []int{1, 2, 3}
	for inside, want := range map[string][2]bool{ // to what is free, and to all
		"":                                 {false, true},
		"<vcpupin vcpu='0' cpuset='1-3'/>": {false, false},
		"<vcpupin vcpu='0' cpuset='1-3'/><vcpupin vcpu='1' cpuset='1-3'/>":                                {false, false},
		"<vcpupin vcpu='0' cpuset='1-3'/><emulatorpin cpuset='1-3'/>":                                     {false, false},
		"<vcpupin vcpu='0' cpuset='1-3'/><vcpupin vcpu='1' cpuset='1-3'/><emulatorpin cpuset='1-3'/>":     {true, false},
		"<vcpupin vcpu='0' cpuset='0-3'/><vcpupin vcpu='1' cpuset='1-3'/><emulatorpin cpuset='1-3'/>":     {false, false},
		"<vcpupin vcpu='0' cpuset='0-3'/><vcpupin vcpu='1' cpuset='0-3'/><emulatorpin cpuset='0-3'/>":     {false, true},
		"<vcpupin vcpu='0' cpuset='0-3'/>":                                                                {false, true},
		"<vcpupin vcpu='0' cpuset='no set'/><vcpupin vcpu='1' cpuset='1-3'/><emulatorpin cpuset='1-3'/>":  {false, false},
		"<vcpupin vcpu='0' cpuset='1,2,3'/><vcpupin vcpu='1' cpuset='1-3'/><emulatorpin cpuset='1-2,3'/>": {true, false},
		"<vcpupin vcpu='7' cpuset='1-3'/><vcpupin vcpu='8' cpuset='1-3'/><emulatorpin cpuset='1-3'/>":     {false, false},
	} {
		x := parsed(t, "<domain type='qemu'><vcpu>2</vcpu><cputune>"+inside+"</cputune></domain>")
		require.Equal(t, want, [2]bool{tied(x, free, all), tied(x, all, all)}, inside)
	}
}
