//go:build !(cgo && libvirt_dlopen)

package libvirt

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
)

func TestStubSaysThatThereIsNoLibvirt(t *testing.T) {
	_, err := Open(t.Context(), Options{})
	require.ErrorIs(t, err, hypervisor.ErrUnavailable)
	require.ErrorContains(t, err, "-tags libvirt_dlopen")
	require.False(t, Available)
}
