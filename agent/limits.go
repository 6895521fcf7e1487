package agent

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/shard"
)

// limitsAgain is when limits that could not be saved are tried again.
const limitsAgain = 10 * time.Second

// limited keeps to limits of series; *shard.Shard does.
type limited interface {
	SeriesLimits() shard.SeriesLimits
	LimitSeries(limits shard.SeriesLimits) error
	Live() int
}

// seriesLimits has the shard keep to what the cluster wants of the host's series. It does so beside everything else: a
// slow disk of metrics must not delay machines.
type seriesLimits struct {
	shard   limited
	changed func()
	logger  *slog.Logger
	// wake holds one wish at most.
	wake chan struct{}

	mu sync.Mutex
	// wanted are the newest limits, of a revision; the ones before are forgotten.
	wanted   shard.SeriesLimits
	revision uint64
	known    bool

	// kept are the limits that hold, also after the next start; heard is their revision.
	kept  shard.SeriesLimits
	heard atomic.Uint64
}

func newSeriesLimits(s limited, changed func(), logger *slog.Logger) *seriesLimits {
	return &seriesLimits{shard: s, kept: s.SeriesLimits(), changed: changed, logger: logger, wake: make(chan struct{}, 1)}
}

// want takes the limits of a desired set. Without a word on limits those before stay.
func (l *seriesLimits) want(revision uint64, intent *agentv1.MetricLimitIntent) {
	if l == nil || intent == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known && revision < l.revision {
		return
	}
	l.wanted, l.revision, l.known = limitsOf(intent), revision, true
	select {
	case l.wake <- struct{}{}:
	default: // it is awake already
	}
}

// run brings the shard to the newest limits until the context ends.
func (l *seriesLimits) run(ctx context.Context) {
	if l == nil {
		return
	}
	for {
		var again <-chan time.Time
		if err := l.apply(); err != nil {
			l.logger.Warn("limits of series: tried again soon; until then others wait for what this host gives back", "error", err)
			again = time.After(limitsAgain)
		}
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-again:
		}
	}
}

// apply counts limits as heard only when they outlive this process: another host may get the room then.
func (l *seriesLimits) apply() error {
	l.mu.Lock()
	wanted, revision, known := l.wanted, l.revision, l.known
	l.mu.Unlock()
	if !known {
		return nil
	}
	if err := l.shard.LimitSeries(wanted); err != nil {
		return err
	}
	l.heard.Store(revision)
	if l.kept.Share != wanted.Share || l.kept.Cluster != wanted.Cluster {
		l.changed() // what this host gives back others wait for
	}
	l.kept = wanted
	return nil
}

// usage tells how many series the host has; nil where it keeps none. The revision is looked at first: series that came in
// by older limits are counted then.
func (l *seriesLimits) usage() *agentv1.MetricUsage {
	if l == nil {
		return nil
	}
	heard := l.heard.Load()
	return &agentv1.MetricUsage{Series: uint64(max(l.shard.Live(), 0)), Revision: heard}
}

// limitsOf are the limits as the shard takes them.
func limitsOf(intent *agentv1.MetricLimitIntent) shard.SeriesLimits {
	l := intent.GetLimits()
	return shard.SeriesLimits{
		Series: number(l.GetSeriesPerHost()), PerMetric: number(l.GetSeriesPerMetric()), PerJob: number(l.GetSeriesPerJob()),
		Metrics: numbers(l.GetMetrics()), Jobs: numbers(l.GetJobs()), Cluster: number(l.GetClusterSeries()), Share: number(intent.GetShare()),
	}
}

func number(n uint64) int { return int(min(n, math.MaxInt)) }

func numbers(all map[string]uint64) map[string]int {
	if len(all) == 0 {
		return nil
	}
	out := make(map[string]int, len(all))
	for name, n := range all {
		out[name] = number(n)
	}
	return out
}
