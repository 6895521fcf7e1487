package consensus

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// MaxCommand is the length limit of one command in bytes.
const MaxCommand = 1 << 20

// Config describes one node. ID, AdvertiseAddr, DataDir, Listener and Dial are required.
type Config struct {
	// ID names the node for ever; AdvertiseAddr is the host:port at which the others dial it.
	ID, AdvertiseAddr string
	// DataDir holds raft.db and snapshots/; it is created with mode 0700.
	DataDir string
	// Listener yields authenticated connections of other controllers; the node closes it.
	Listener net.Listener
	// Dial opens an authenticated connection to another controller.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Timing defaults to DefaultTiming for each zero field.
	Timing Timing
	// Snapshots defaults to DefaultSnapshotPolicy for each zero field.
	Snapshots SnapshotPolicy
	// StallLimit is how long one store call, one batch of Apply or one log line may take while this node leads;
	// default 4 s. Snapshot files get fifteen times as long.
	StallLimit time.Duration
	// OnStall is called once from its own goroutine when the limit passes, after the node has cut its connections so
	// that the others elect. The process should end: the call that hangs cannot be taken back. It must not log to
	// the disk that hangs.
	OnStall func(op string, d time.Duration)
	// OnFatal is called once when the node met an entry that it cannot read or apply. The process should end.
	OnFatal func(err error)
	// MaxInFlight bounds the proposals that wait for a commit; more wait for a place; default 4096.
	MaxInFlight int
	// Logger defaults to slog.Default.
	Logger *slog.Logger

	// wrapLog lets a test put a failing disk under the log.
	wrapLog func(raft.LogStore) raft.LogStore
}

// Timing holds the durations of the protocol.
type Timing struct {
	Heartbeat   time.Duration // silence of the leader before an election, default 500 ms
	Election    time.Duration // length of an election round, default 500 ms
	LeaderLease time.Duration // a leader without a quorum for this long steps down, default 500 ms
	Commit      time.Duration // idle time before a leader tells followers the commit index, default 10 ms
	IO          time.Duration // deadline of one exchange and of a dial, default 5 s
}

// SnapshotPolicy says when the log is compacted.
type SnapshotPolicy struct {
	Interval  time.Duration // how often to look, default 1 min (spread up to twice that)
	Threshold uint64        // entries since the last snapshot, default 16384
	Trailing  uint64        // entries kept behind a snapshot for slow followers, default 131072
	Retain    int           // snapshots kept, default 2
}

// DefaultTiming suits a LAN: a killed leader is replaced in about a second.
func DefaultTiming() Timing {
	const half = 500 * time.Millisecond
	return Timing{Heartbeat: half, Election: half, LeaderLease: half, Commit: 10 * time.Millisecond, IO: 5 * time.Second}
}

// DefaultSnapshotPolicy keeps enough log for ten seconds of full write load during a restore.
func DefaultSnapshotPolicy() SnapshotPolicy {
	return SnapshotPolicy{Interval: time.Minute, Threshold: 1 << 14, Trailing: 1 << 17, Retain: 2}
}

// withDefaults fills in zero fields.
func (c Config) withDefaults() Config {
	t, s := DefaultTiming(), DefaultSnapshotPolicy()
	c.Timing = Timing{
		Heartbeat:   or(c.Timing.Heartbeat, t.Heartbeat),
		Election:    or(c.Timing.Election, or(c.Timing.Heartbeat, t.Election)),
		LeaderLease: or(c.Timing.LeaderLease, or(c.Timing.Heartbeat, t.LeaderLease)),
		Commit:      or(c.Timing.Commit, t.Commit),
		IO:          or(c.Timing.IO, t.IO),
	}
	c.Snapshots = SnapshotPolicy{
		Interval:  or(c.Snapshots.Interval, s.Interval),
		Threshold: or(c.Snapshots.Threshold, s.Threshold),
		Trailing:  or(c.Snapshots.Trailing, s.Trailing),
		Retain:    or(c.Snapshots.Retain, s.Retain),
	}
	c.StallLimit = or(c.StallLimit, 4*time.Second)
	c.MaxInFlight = or(c.MaxInFlight, 4096)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// or returns v, or def when v is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// validate names the first required field that is missing.
func (c Config) validate() error {
	required := []struct {
		name string
		ok   bool
	}{
		{"ID", c.ID != ""}, {"AdvertiseAddr", c.AdvertiseAddr != ""}, {"DataDir", c.DataDir != ""},
		{"Listener", c.Listener != nil}, {"Dial", c.Dial != nil},
	}
	for _, f := range required {
		if !f.ok {
			return fmt.Errorf("%w: %s is required", ErrConfig, f.name)
		}
	}
	return nil
}

// raftConfig translates to the library's configuration.
func (c Config) raftConfig(w *watchdog) *raft.Config {
	r := raft.DefaultConfig()
	r.LocalID = raft.ServerID(c.ID)
	r.HeartbeatTimeout, r.ElectionTimeout = c.Timing.Heartbeat, c.Timing.Election
	r.LeaderLeaseTimeout, r.CommitTimeout = c.Timing.LeaderLease, c.Timing.Commit
	// With the default of 64 a follower that is far behind gains one small batch per tick and never catches up.
	r.MaxAppendEntries = 512
	r.SnapshotInterval, r.SnapshotThreshold = c.Snapshots.Interval, c.Snapshots.Threshold
	r.TrailingLogs = c.Snapshots.Trailing
	// A removed member stays up as a silent follower; the controller decides what happens to the process.
	r.ShutdownOnRemove = false
	r.NoLegacyTelemetry = true
	r.Logger = newHCLogger(c.Logger, w)
	return r
}
