package placing

import (
	"testing"

	"github.com/stretchr/testify/require"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

func TestBaselineIsTheBestThatAllHave(t *testing.T) {
	host := func(signature string, models ...string) *novacronv1.HostInfo {
		return &novacronv1.HostInfo{CpuSignature: signature, CpuModels: models}
	}
	old := host("old", "qemu64", "Nehalem", "Westmere", "SandyBridge")
	fresh := host("new", "Broadwell-noTSX", "Nehalem", "SandyBridge", "SandyBridge-IBRS", "Westmere", "qemu64")
	amd := host("amd", "EPYC", "Opteron_G3", "Nehalem", "Westmere", "qemu64")
	for name, c := range map[string]struct {
		hosts []*novacronv1.HostInfo
		model string
	}{
		"one host":                {[]*novacronv1.HostInfo{old}, ""},
		"equal hosts":             {[]*novacronv1.HostInfo{fresh, host("new")}, ""},
		"an older one":            {[]*novacronv1.HostInfo{old, fresh}, "SandyBridge"},
		"another maker":           {[]*novacronv1.HostInfo{fresh, amd, old}, "Westmere"},
		"nothing in common":       {[]*novacronv1.HostInfo{old, host("odd", "486")}, ""},
		"one that tells nothing":  {[]*novacronv1.HostInfo{old, host("mute"), fresh}, ""},
		"a model nobody has told": {[]*novacronv1.HostInfo{host("a", "Future"), host("b", "Future")}, ""},
	} {
		require.Equal(t, c.model, baseline(c.hosts), name)
	}
}
