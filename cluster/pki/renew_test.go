package pki

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRenewalOverAWeekWithOutages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := mustCA(t, testCluster)
		first := issue(t, ca, RoleAgent, "a", 0, time.Now())
		c := mustCredentials(t, first, Options{})
		start, calls, signed := time.Now(), 0, 0
		renew := func(_ context.Context, csr []byte) ([]byte, error) {
			calls++
			// Controllers are away for six hours of every day.
			if time.Since(start)%(24*time.Hour) > 18*time.Hour {
				return nil, errors.New("no leader")
			}
			signed++
			return ca.Sign(csr, c.Identity(), nil, 0, time.Now())
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- RunRenewal(ctx, c, renew, slog.New(slog.DiscardHandler)) }()
		for range 7 * 24 {
			<-time.After(time.Hour)
			require.True(t, time.Now().Before(c.Expires()), "never without a valid certificate")
		}
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		require.InDelta(t, 10, signed, 2)
		require.Less(t, calls, 800, "retries back off")
	})
}

func TestRenewalHappensAtTwoThirds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := mustCA(t, testCluster)
		for _, ttl := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
			c := mustCredentials(t, issue(t, ca, RoleAgent, "a", ttl, time.Now()), Options{})
			seen := map[time.Duration]bool{}
			for range 50 {
				part := time.Until(c.renewAt()).Seconds() / ttl.Seconds()
				require.InDelta(t, 2.0/3, part, 0.07)
				seen[time.Until(c.renewAt())] = true
			}
			require.Greater(t, len(seen), 40, "spread out")
		}
	})
}

func TestRenewalSurvivesASignerThatNeverAnswersAndABadOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, evil := mustCA(t, testCluster), mustCA(t, testCluster)
		c := mustCredentials(t, issue(t, ca, RoleAgent, "a", time.Hour, time.Now()), Options{})
		calls := 0
		renew := func(ctx context.Context, csr []byte) ([]byte, error) {
			switch calls++; calls {
			case 1:
				<-ctx.Done()
				return nil, ctx.Err()
			case 2:
				return evil.Sign(csr, c.Identity(), nil, time.Hour, time.Now())
			case 3:
				return []byte("junk"), nil
			}
			return ca.Sign(csr, c.Identity(), nil, time.Hour, time.Now())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Minute)
		defer cancel()
		require.ErrorIs(t, RunRenewal(ctx, c, renew, slog.New(slog.DiscardHandler)), context.DeadlineExceeded)
		require.Equal(t, 4, calls)
		require.True(t, c.Expires().After(time.Now().Add(45*time.Minute)))
	})
}
