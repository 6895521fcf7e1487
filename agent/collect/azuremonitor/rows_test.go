package azuremonitor

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
)

// TestRowsAgreeWithTheRegistry holds that each row has the type, the unit and the labels of its metric.
func TestRowsAgreeWithTheRegistry(t *testing.T) {
	registry := collect.NewRegistry()
	natives := map[string]bool{}
	for _, r := range rows() {
		require.False(t, natives[r.native], "%s twice", r.native)
		natives[r.native] = true
		def, known := registry.Lookup(r.name)
		require.True(t, known, r.name)
		require.Contains(t, def.Sources, collect.AzureMonitor, r.name)
		require.Equal(t, def.Type == collect.TypeCounter, r.counts(), r.native)
		c, known := fromUnit(r.unit)
		require.True(t, known, r.unit)
		want := def.Unit
		switch {
		case r.kind == collect.NativeRate && want == "":
			want = "per_second"
		case r.kind == collect.NativeRate:
			want += "_per_second"
		}
		require.Equal(t, want, c.Unit, "%s in %s becomes %s", r.native, r.unit, r.name)
		if r.label != "" {
			require.Contains(t, def.Labels, r.label, r.native)
		}
		if r.kindOf != "" {
			require.Contains(t, def.Labels, "type", r.native)
		}
		require.Contains(t, Sets, r.set)
	}
	require.Len(t, natives, 47)
}

func TestDisksAreMeasuredOnOneLevel(t *testing.T) {
	levels := func(sets []Set, both bool) map[string]bool {
		found := map[string]bool{}
		for _, r := range selected(sets, both) {
			if r.name == "vm_disk_read_bytes_total" {
				found[r.native] = true
			}
		}
		return found
	}
	together := map[string]bool{"Disk Read Bytes": true}
	each := map[string]bool{"OS Disk Read Bytes/sec": true, "Data Disk Read Bytes/sec": true, "Temp Disk Read Bytes/sec": true}
	require.Equal(t, together, levels(nil, false))
	require.Equal(t, together, levels(nil, true))
	require.Equal(t, each, levels([]Set{SetDisks}, false))
	all := maps.Clone(each)
	maps.Copy(all, together)
	require.Equal(t, all, levels([]Set{SetDisks}, true))
}

// TestDefaultSet is that of the normalisation rules, and costs one call for fifty machines.
func TestDefaultSet(t *testing.T) {
	var natives []string
	for _, r := range selected(nil, false) {
		natives = append(natives, r.native)
	}
	slices.Sort(natives)
	require.Equal(t, []string{
		"Available Memory Bytes", "Disk Read Bytes", "Disk Read Operations/Sec", "Disk Write Bytes", "Disk Write Operations/Sec",
		"Network In Total", "Network Out Total", "Percentage CPU", "VmAvailabilityMetric",
	}, natives)
}
