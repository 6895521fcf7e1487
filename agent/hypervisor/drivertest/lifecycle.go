package drivertest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
)

func (g Target) pause(t *testing.T) {
	id := g.guest(t, "contract-pause")
	require.NoError(t, g.Driver.Start(t.Context(), id))
	for range 2 {
		require.NoError(t, g.Driver.Suspend(t.Context(), id))
	}
	require.Equal(t, hypervisor.StatePaused, g.state(t, id))
	require.NoError(t, g.Driver.Start(t.Context(), id))
	require.Equal(t, hypervisor.StateRunning, g.state(t, id))
}

func (g Target) restart(t *testing.T) {
	g.need(t, Restart)
	id := g.guest(t, "contract-restart")
	require.Error(t, g.Driver.Reset(t.Context(), id), "it does not run yet")
	events, err := g.Driver.Events(t.Context())
	require.NoError(t, err)
	require.NoError(t, g.Driver.Start(t.Context(), id))
	require.NoError(t, g.Driver.Reset(t.Context(), id))
	g.awaitEvent(t, events, hypervisor.Event{ID: id, Kind: "rebooted"})
	require.NoError(t, g.Driver.Reboot(t.Context(), id))
	g.await(t, id, hypervisor.StateRunning)
}

// questions are answered, or refused in words, by whatever runs.
func (g Target) questions(t *testing.T) {
	g.need(t, Restart)
	id := g.guest(t, "contract-questions")
	require.NoError(t, g.Driver.Start(t.Context(), id))
	_, err := g.Driver.Guest(t.Context(), id)
	require.NoError(t, err, "a guest without an agent is no error")
	var picture bytes.Buffer
	if mime, err := g.Driver.Screenshot(t.Context(), id, &picture); err == nil {
		require.Contains(t, mime, "image/")
		require.NotZero(t, picture.Len())
	}
}

func (g Target) rename(t *testing.T) {
	id := g.guest(t, "contract-old")
	require.NoError(t, g.Driver.Rename(t.Context(), id, "contract-new"))
	seen, err := g.Driver.Domain(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "contract-new", seen.Name)
	require.NoError(t, g.Driver.Start(t.Context(), id))
	require.Error(t, g.Driver.Rename(t.Context(), id, "contract-newer"), "it runs")
}
