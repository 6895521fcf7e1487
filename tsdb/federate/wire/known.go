package wire

import (
	"context"
	"time"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate"
)

var _ federate.Rememberer = (*Roster)(nil)

const (
	// knownWait bounds how long a query waits for what shards tell of themselves.
	knownWait = 2 * time.Second
	// knownLately is up to how old what they have told is good for guesses.
	knownLately = time.Minute
	// knownAtOnce bounds how many are asked at one time.
	knownAtOnce = 256
)

// Known is what shards told in the last 10 s. Those that have not are asked first, for 2 s.
func (r *Roster) Known(ctx context.Context, members []federate.Member) map[string]federate.Known {
	return r.known(ctx, members, summaryFresh)
}

// Lately is what shards told in the last minute. Those that have not told in the last 10 s are asked beside: all at one time
// take a second of a thousand hosts.
func (r *Roster) Lately(ctx context.Context, members []federate.Member) map[string]federate.Known {
	return r.known(ctx, members, knownLately)
}

// known is what shards told within some time, once those that have not were asked.
func (r *Roster) known(ctx context.Context, members []federate.Member, within time.Duration) map[string]federate.Known {
	ctx, cancel := context.WithTimeout(ctx, knownWait)
	defer cancel()
	for _, asked := range r.freshen(members, within) {
		select {
		case <-asked:
		case <-ctx.Done():
		}
	}
	return r.told(members, within)
}

// freshen asks shards that have not told lately, and gives what is closed when those have that have not told within some
// time. One that was asked and is silent is not waited for by every query.
func (r *Roster) freshen(members []federate.Member, within time.Duration) (asked []<-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range members {
		shard, up := m.Shard.(shardOf)
		if !up {
			continue
		}
		s := r.summary(shard.url)
		if s.asking == nil && time.Since(s.at) > summaryFresh && time.Since(s.asked) > summaryFresh {
			r.ask(shard, s)
		}
		if s.asking != nil && time.Since(s.at) > within && time.Since(s.asked) < knownWait {
			asked = append(asked, s.asking)
		}
	}
	return asked
}

// told is what shards told within some time, but for those that are silent since.
func (r *Roster) told(members []federate.Member, within time.Duration) map[string]federate.Known {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]federate.Known, len(members))
	for _, m := range members {
		if shard, up := m.Shard.(shardOf); up {
			s := r.summary(shard.url)
			if silent := s.asking != nil && time.Since(s.asked) >= knownWait; !silent && time.Since(s.at) <= within {
				all[m.Name] = s.Known
			}
		}
	}
	return all
}

func revisionTo(r engine.Revision) *agentv1.ShardRevision {
	if r.Epoch == 0 {
		return nil
	}
	return &agentv1.ShardRevision{Epoch: r.Epoch, Changes: r.Changes, Since: r.Since[:]}
}

// knownFrom reads what a shard tells; one that tells of other tiers than there are has no revision.
func knownFrom(m *agentv1.SummarizeResponse) federate.Known {
	known := federate.Known{Series: int64(min(m.GetSeries(), 1<<40))}
	if from := m.GetRevision(); len(from.GetSince()) == len(known.Revision.Since) {
		known.Revision = engine.Revision{Epoch: from.GetEpoch(), Changes: from.GetChanges(), Since: [3]int64(from.GetSince())}
	}
	return known
}
