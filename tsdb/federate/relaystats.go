package federate

import "sync/atomic"

// RelayStats count what relays did for a fleet, since it was made.
type RelayStats struct {
	// Calls are questions to relays, Answers those of hosts that came by them.
	Calls, Answers int64
	// Direct are questions to hosts of which a relay gave no answer, or none in time.
	Direct int64
}

type relayCounts struct{ calls, answers, direct atomic.Int64 }

// RelayStats counts for all fleets that were made of the same one.
func (f *Fleet) RelayStats() RelayStats {
	return RelayStats{f.relayed.calls.Load(), f.relayed.answers.Load(), f.relayed.direct.Load()}
}

// relays are those by which members would be asked.
func (f *Fleet) relays(members []Member) int {
	relayer, can := f.directory.(Relayer)
	if !can || !f.opts.relays(len(members)) {
		return 0
	}
	groups, _ := relayer.Relays(members)
	return len(groups)
}

// relays tells whether so many members are asked by way of relays.
func (o Options) relays(members int) bool { return o.RelayFrom >= 0 && members >= o.RelayFrom }
