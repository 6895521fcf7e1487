package drivertest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/vm"
)

// ties hold while a machine runs: the next start is free again.
func (g Target) ties(t *testing.T) {
	g.need(t, Reshape)
	id := g.guestWith(t, "contract-ties", func(def *vm.Definition) { def.CPUs, def.CPU.Max = 1, 2 })
	require.NoError(t, g.Driver.TieCPUs(t.Context(), id, []int{0}), "one that does not run is left alone")
	g.requireTied(t, id, "")
	require.NoError(t, g.Driver.Start(t.Context(), id))
	g.requireTied(t, id, "")
	for range 2 {
		require.NoError(t, g.Driver.TieCPUs(t.Context(), id, []int{0}))
		g.requireTied(t, id, "0")
	}
	require.NoError(t, g.Driver.Kill(t.Context(), id, false))
	require.NoError(t, g.Driver.Start(t.Context(), id))
	g.requireTied(t, id, "")
}

// requireTied asks for the same set for each of two virtual CPUs, the one that is not plugged in too, and the emulator;
// empty is no tie.
func (g Target) requireTied(t *testing.T, id, set string) {
	t.Helper()
	tune := g.described(t, id).CPUTune
	if set == "" {
		require.True(t, tune == nil || len(tune.VCPUPin) == 0 && tune.EmulatorPin == nil)
		return
	}
	require.Len(t, tune.VCPUPin, 2)
	for _, pin := range tune.VCPUPin {
		require.Equal(t, set, pin.CPUSet)
	}
	require.Equal(t, set, tune.EmulatorPin.CPUSet)
}
