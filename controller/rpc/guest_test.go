package rpc

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

func TestMachinesWithoutAScreenAreNotPictured(t *testing.T) {
	with := func(graphics string, adopted bool) *novacronv1.VM {
		return &novacronv1.VM{Adopted: adopted, Spec: &novacronv1.VMSpec{Name: "web-1", Devices: &novacronv1.DevicesSpec{Graphics: &graphics}}}
	}
	err := mustHaveScreen(with(vm.GraphicsNone, false))
	require.ErrorIs(t, err, state.ErrRefused)
	require.ErrorContains(t, err, `virtual machine web-1 has no screen, its devices.graphics is "none": read its console`)
	require.NoError(t, mustHaveScreen(with(vm.GraphicsVNC, false)))
	require.NoError(t, mustHaveScreen(with(vm.GraphicsNone, true)))
}
