package pki

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	// renewTimeout bounds one attempt.
	renewTimeout = 30 * time.Second
	// firstRetry and lastRetry bound the wait between attempts.
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	// nap is the longest single sleep: a suspended host or a corrected clock must not delay a renewal for hours.
	nap = time.Minute
)

// RunRenewal keeps c's certificate fresh until ctx ends, whose error it returns. At two thirds of the certificate's life,
// a little earlier or later so that a cluster started at once does not renew at once, it makes a new key, has renew get
// it signed and replaces the pair. Failures are retried with growing pauses for as long as it takes.
func RunRenewal(ctx context.Context, c *Credentials, renew func(ctx context.Context, csrPEM []byte) (certPEM []byte, err error), logger *slog.Logger) error {
	for ctx.Err() == nil {
		if !c.waitUntil(ctx, c.renewAt()) {
			break
		}
		c.renewUntilDone(ctx, renew, logger)
	}
	return ctx.Err()
}

// renewAt is two thirds into the life, give or take a twentieth. The backdated minutes are no part of the life: counting
// them would renew a short certificate the moment it is issued, for ever.
func (c *Credentials) renewAt() time.Time {
	leaf := c.current.Load().leaf
	start := leaf.NotBefore.Add(ClockSkew)
	life := leaf.NotAfter.Sub(start)
	jitter := time.Duration((rand.Float64() - 0.5) / 10 * float64(life))
	return start.Add(life*2/3 + jitter)
}

func (c *Credentials) renewUntilDone(ctx context.Context, renew func(context.Context, []byte) ([]byte, error), logger *slog.Logger) {
	for pause := firstRetry; ctx.Err() == nil; pause = min(2*pause, lastRetry) {
		err := c.renewOnce(ctx, renew)
		if err == nil {
			logger.Info("certificate renewed", "identity", c.Identity().String(), "expires", c.Expires(), "serial", c.SerialHex())
			sleep(ctx, firstRetry) // a signer that hands out old certificates must not be asked in a tight loop
			return
		}
		wait := pause/2 + rand.N(pause)
		logger.Warn("certificate not renewed, will retry", "error", err, "in", wait, "expires", c.Expires())
		sleep(ctx, wait)
	}
}

func (c *Credentials) renewOnce(ctx context.Context, renew func(context.Context, []byte) ([]byte, error)) error {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	keyPEM, csrPEM, err := NewKeyAndCSR()
	if err != nil {
		return err
	}
	certPEM, err := renew(ctx, csrPEM)
	if err != nil {
		return err
	}
	return c.Replace(certPEM, keyPEM)
}

// waitUntil sleeps by the wall clock; false when ctx ended first.
func (c *Credentials) waitUntil(ctx context.Context, at time.Time) bool {
	for {
		left := at.Sub(c.opts.Now())
		if left <= 0 {
			return ctx.Err() == nil
		}
		if !sleep(ctx, min(left, nap)) {
			return false
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
