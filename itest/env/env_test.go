package env_test

import (
	"runtime"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

func TestClusterStartsAndLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	c, err := env.Start(t.Context(), env.Options{Dir: t.TempDir(), Controllers: 3, Agents: 2})
	require.NoError(t, err)
	admin, err := c.Admin("")
	require.NoError(t, err)
	health, err := admin.Cluster.GetHealth(t.Context(), connect.NewRequest(&novacronv1.GetHealthRequest{}))
	require.NoError(t, err)
	require.True(t, health.Msg.GetHealthy(), "%v", health.Msg.GetProblems())
	require.EqualValues(t, 1, health.Msg.GetFailureTolerance())
	require.EqualValues(t, 2, health.Msg.GetHostsUp())
	require.Len(t, c.Members(pki.RoleController), 3)
	require.NoError(t, c.Close())
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, patience, 50*time.Millisecond,
		"goroutines: %d before, %d after", before, runtime.NumGoroutine())
}
