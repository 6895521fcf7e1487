package hypervisor

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKeyLockExcludesOnTheSameKeyAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l keyLock
		var wg sync.WaitGroup
		start := time.Now()
		for _, key := range []string{"a", "a", "a", "b"} {
			wg.Go(func() {
				release, err := l.lock(t.Context(), key)
				require.NoError(t, err)
				defer release()
				<-time.After(time.Second)
			})
		}
		wg.Wait()
		require.Equal(t, 3*time.Second, time.Since(start))
		require.Empty(t, l.held)
	})
}

func TestKeyLockGivesUpWithTheContext(t *testing.T) {
	var l keyLock
	release, err := l.lock(t.Context(), "a")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = l.lock(ctx, "a")
	require.ErrorIs(t, err, context.Canceled)
	release()
	require.Empty(t, l.held)
}
