package fake_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/drivertest"
	"github.com/novacron/novacron/agent/hypervisor/fake"
)

func TestContract(t *testing.T) {
	d, err := fake.New(fake.Options{})
	require.NoError(t, err)
	drivertest.Run(t, drivertest.Target{Driver: d, Pool: "default", Network: "default"})
	require.Empty(t, d.Leftovers())
}

func TestContractWithFolder(t *testing.T) {
	d, err := fake.New(fake.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	drivertest.Run(t, drivertest.Target{Driver: d, Pool: "images", Network: "default"})
}

func TestGuestsOutliveTheProcess(t *testing.T) {
	opts := fake.Options{Dir: t.TempDir()}
	d, err := fake.New(opts)
	require.NoError(t, err)
	const id = "6f1c2f6e-0a3b-4c1d-9e2f-3a4b5c6d7e8f"
	require.NoError(t, d.Define(t.Context(), `<domain><name>a</name><uuid>`+id+`</uuid></domain>`))
	require.NoError(t, d.Start(t.Context(), id))
	again, err := fake.New(opts)
	require.NoError(t, err)
	seen, err := again.Domain(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, hypervisor.StateRunning, seen.State)
	require.NoError(t, again.Crash())
	seen, err = again.Domain(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, hypervisor.StateStopped, seen.State)
}

func TestFaultsAndLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		d, err := fake.New(fake.Options{
			Latency: func(op string) time.Duration { return time.Second },
			Fault: func(op, object string) error {
				if op == "Start" {
					return broken
				}
				return nil
			},
		})
		require.NoError(t, err)
		start := time.Now()
		require.ErrorIs(t, d.Start(t.Context(), "x"), broken)
		require.Equal(t, time.Second, time.Since(start))
	})
}
