// Package loop runs what the leader does on its own: each loop reads the state, plans with pure functions and commits the outcome.
package loop

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/cluster/consensus"
	"github.com/novacron/novacron/controller/state"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// Loop is one duty of the leader. Run works until its context ends, which is when leadership does.
type Loop struct {
	Name string
	Run  func(ctx context.Context) error
}

// Proposer commits commands.
type Proposer interface {
	Propose(ctx context.Context, command []byte) (result any, index uint64, err error)
}

// Pauses between the attempts of a loop that fails.
const (
	minPause = 100 * time.Millisecond
	maxPause = 10 * time.Second
)

// Supervise runs the loops while this node leads. They have all ended before it returns, and before they start again in
// another term.
func Supervise(ctx context.Context, leadership <-chan consensus.Leadership, loops []Loop, logger *slog.Logger) {
	stop := func() {}
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case change, ok := <-leadership:
			stop()
			stop = func() {}
			if !ok {
				return
			}
			if change.Leader {
				stop = start(ctx, loops, logger.With("term", change.Term))
			}
		}
	}
}

// start runs the loops and gives the function that ends them and waits for it.
func start(ctx context.Context, loops []Loop, logger *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, loop := range loops {
		running.Go(func() { keep(ctx, loop, logger.With("loop", loop.Name)) })
	}
	logger.Info("leading")
	return func() {
		cancel()
		running.Wait()
		logger.Info("no longer leading")
	}
}

// keep starts a loop again when it fails, less and less often.
func keep(ctx context.Context, loop Loop, logger *slog.Logger) {
	pause := minPause
	for ctx.Err() == nil {
		began := time.Now()
		err := loop.Run(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxPause {
			pause = minPause
		}
		logger.Warn("a loop failed and starts again", "error", err, "pause", pause)
		rest(ctx, pause/2+rand.N(pause))
		pause = min(2*pause, maxPause)
	}
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// every calls f now and then once an interval, until the context ends or f fails.
func every(ctx context.Context, interval time.Duration, f func(context.Context) error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := f(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// commitTimeout bounds one proposal of a loop.
const commitTimeout = 10 * time.Second

// commit proposes a command on behalf of a loop. A plan that went stale is no failure: the loop looks again.
func commit(ctx context.Context, log Proposer, actor string, now time.Time, op func(*statev1.Command)) error {
	command := &statev1.Command{Version: state.Version, Time: timestamppb.New(now), Actor: actor}
	op(command)
	encoded, err := proto.Marshal(command)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	result, _, err := log.Propose(ctx, encoded)
	if err != nil {
		return err
	}
	if err := result.(state.Result).Err; err != nil && !errors.Is(err, state.ErrStale) && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	return nil
}
