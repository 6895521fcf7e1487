package consensus

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Server is one member of the cluster.
type Server struct {
	ID, Addr string
	Voter    bool // counts for elections and commits
	Leader   bool // leads, as far as this node knows; ignored as input
}

// configuration translates members for the library.
func configuration(servers []Server) raft.Configuration {
	var c raft.Configuration
	for _, s := range servers {
		suffrage := raft.Nonvoter
		if s.Voter {
			suffrage = raft.Voter
		}
		c.Servers = append(c.Servers, raft.Server{
			Suffrage: suffrage, ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Addr),
		})
	}
	return c
}

// Servers returns the newest membership that this node has, committed or not.
func (n *Node) Servers() ([]Server, error) {
	f := n.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, n.translate(err)
	}
	leader, _ := n.Leader()
	var out []Server
	for _, s := range f.Configuration().Servers {
		out = append(out, Server{
			ID: string(s.ID), Addr: string(s.Address),
			Voter: s.Suffrage == raft.Voter, Leader: string(s.ID) == leader,
		})
	}
	return out, nil
}

// AddNonvoter adds a member that receives the log but does not count, or updates its address. New members start
// like this and are promoted by AddVoter once they have caught up.
func (n *Node) AddNonvoter(ctx context.Context, id, addr string) error {
	return n.change(ctx, "add non-voter "+id, func(t time.Duration) raft.Future {
		return n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(addr), 0, t)
	})
}

// AddVoter adds a voting member or promotes a non-voter.
func (n *Node) AddVoter(ctx context.Context, id, addr string) error {
	return n.change(ctx, "add voter "+id, func(t time.Duration) raft.Future {
		return n.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(addr), 0, t)
	})
}

// Demote takes a member's vote away; the last voter cannot be demoted.
func (n *Node) Demote(ctx context.Context, id string) error {
	// A follower may not know yet who is a member.
	if err := cmp.Or(n.ready(), n.mayLeave(id)); err != nil {
		return fmt.Errorf("demote %s: %w", id, err)
	}
	return n.change(ctx, "demote "+id, func(t time.Duration) raft.Future {
		return n.raft.DemoteVoter(raft.ServerID(id), 0, t)
	})
}

// Remove removes a member; the last voter cannot be removed. A leader that removes itself steps down.
func (n *Node) Remove(ctx context.Context, id string) error {
	// A follower may not know yet who is a member.
	if err := cmp.Or(n.ready(), n.mayLeave(id)); err != nil {
		return fmt.Errorf("remove %s: %w", id, err)
	}
	return n.change(ctx, "remove "+id, func(t time.Duration) raft.Future {
		return n.raft.RemoveServer(raft.ServerID(id), 0, t)
	})
}

// change commits one change of the membership.
func (n *Node) change(ctx context.Context, what string, start func(time.Duration) raft.Future) error {
	if err := n.ready(); err != nil {
		return err
	}
	if _, err := n.await(ctx, start, func() {}); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// mayLeave refuses an unknown member and the last voter.
func (n *Node) mayLeave(id string) error {
	servers, err := n.Servers()
	if err != nil {
		return err
	}
	known, others := false, 0
	for _, s := range servers {
		known = known || s.ID == id
		if s.Voter && s.ID != id {
			others++
		}
	}
	if !known {
		return fmt.Errorf("%w: %s", ErrUnknownServer, id)
	}
	if others == 0 {
		return fmt.Errorf("%w: add another voter first", ErrLastVoter)
	}
	return nil
}

func (n *Node) hasOtherVoters() bool { return n.mayLeave(n.cfg.ID) == nil }

// TransferLeadership hands leadership to a voter, the most current one when toID is empty. It returns once this node
// has stepped down, or an error after an election timeout.
func (n *Node) TransferLeadership(ctx context.Context, toID string) error {
	if err := n.ready(); err != nil {
		return err
	}
	start := func(time.Duration) raft.Future { return n.raft.LeadershipTransfer() }
	if toID != "" {
		addr, err := n.voterAddr(toID)
		if err != nil {
			return fmt.Errorf("transfer leadership: %w", err)
		}
		start = func(time.Duration) raft.Future {
			return n.raft.LeadershipTransferToServer(raft.ServerID(toID), addr)
		}
	}
	if _, err := n.await(ctx, start, func() {}); err != nil {
		return fmt.Errorf("transfer leadership to %q: %w", toID, err)
	}
	return nil
}

func (n *Node) voterAddr(id string) (raft.ServerAddress, error) {
	servers, err := n.Servers()
	if err != nil {
		return "", err
	}
	for _, s := range servers {
		if s.ID == id && s.Voter {
			return raft.ServerAddress(s.Addr), nil
		}
	}
	return "", fmt.Errorf("%w that votes: %s", ErrUnknownServer, id)
}
