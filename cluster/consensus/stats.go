package consensus

import (
	"strconv"
	"time"

	"github.com/hashicorp/raft"
)

// Stats is the state of a node at one moment.
type Stats struct {
	State             string        // "Follower", "Candidate", "Leader" or "Shutdown"
	Term              uint64        // current election term
	LastIndex         uint64        // newest entry on disk
	CommitIndex       uint64        // newest entry known to be committed
	AppliedIndex      uint64        // newest entry that the state machine has executed
	LastContact       time.Duration // since the leader was heard; 0 on the leader, -1 when never
	LastSnapshotIndex uint64        // entry up to which the newest snapshot reaches
	FSMPending        int           // batches that wait for the state machine
	Voters            int           // voting members
	InFlight          time.Duration // age of the oldest store call that has not returned; large means a hung disk
}

// Stats returns the node's state; it works while the disk hangs.
func (n *Node) Stats() Stats {
	m := n.raft.Stats()
	s := Stats{
		State:             m["state"],
		Term:              n.raft.CurrentTerm(),
		LastIndex:         n.raft.LastIndex(),
		CommitIndex:       n.raft.CommitIndex(),
		AppliedIndex:      n.applied.get(),
		LastContact:       n.lastContact(),
		LastSnapshotIndex: number(m["last_snapshot_index"]),
		FSMPending:        int(number(m["fsm_pending"])),
		InFlight:          n.watch.oldest(time.Now()),
	}
	servers, _ := n.Servers() // fails only after Close, when there is nothing to count
	for _, v := range servers {
		if v.Voter {
			s.Voters++
		}
	}
	return s
}

func (n *Node) lastContact() time.Duration {
	switch last := n.raft.LastContact(); {
	case n.raft.State() == raft.Leader:
		return 0
	case last.IsZero():
		return -1
	default:
		return time.Since(last)
	}
}

// number reads a figure of the library's text statistics, 0 when it is missing.
func number(s string) uint64 {
	v, _ := strconv.ParseUint(s, 10, 64)
	return v
}
