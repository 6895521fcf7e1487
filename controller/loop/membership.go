package loop

import (
	"context"
	"log/slog"
	"time"

	"github.com/novacron/novacron/cluster/consensus"
	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

const (
	membershipCheck  = 500 * time.Millisecond
	membershipChange = 10 * time.Second
	// caughtUpWithin is how many entries a controller may be behind to be given a vote.
	caughtUpWithin = 500
)

// Quorum is the Raft configuration.
type Quorum interface {
	Servers() ([]consensus.Server, error)
	Stats() consensus.Stats
	AddNonvoter(ctx context.Context, id, addr string) error
	AddVoter(ctx context.Context, id, addr string) error
	Demote(ctx context.Context, id string) error
	Remove(ctx context.Context, id string) error
}

// Membership brings the Raft configuration in line with the controllers that are members: newcomers listen first and vote
// once they have caught up.
type Membership struct {
	Store  *state.Store
	Quorum Quorum
	// Applied asks a controller how far it is.
	Applied func(ctx context.Context, member *novacronv1.Member) (uint64, error)
	Logger  *slog.Logger
}

// Loop changes one thing at a time.
func (m *Membership) Loop() Loop {
	return Loop{Name: "membership", Run: func(ctx context.Context) error {
		return every(ctx, membershipCheck, m.step)
	}}
}

// Change is one change of the Raft configuration.
type Change struct {
	Kind     ChangeKind
	ID, Addr string
}

// ChangeKind is what a Change does.
type ChangeKind string

// The changes, in the order in which they are made.
const (
	Add     ChangeKind = "add as non-voter"
	Promote ChangeKind = "give a vote"
	Demote  ChangeKind = "take the vote"
	Remove  ChangeKind = "remove"
)

// Plan compares who shall be in the Raft configuration with who is. What gains members comes before what loses them.
func Plan(members []*novacronv1.Member, servers []consensus.Server) []Change {
	have := make(map[string]consensus.Server, len(servers))
	for _, server := range servers {
		have[server.ID] = server
	}
	var gains, losses []Change
	want := map[string]bool{}
	for _, member := range members {
		if member.GetRole() != novacronv1.Role_ROLE_CONTROLLER {
			continue
		}
		want[member.GetId()] = true
		server, known := have[member.GetId()]
		change := Change{ID: member.GetId(), Addr: member.GetRaftAddress()}
		switch {
		case !known || server.Addr != member.GetRaftAddress() && !server.Voter:
			change.Kind = Add
			gains = append(gains, change)
		case member.GetVoter() && !server.Voter, server.Voter && server.Addr != member.GetRaftAddress():
			change.Kind = Promote
			gains = append(gains, change)
		case !member.GetVoter() && server.Voter:
			change.Kind = Demote
			losses = append(losses, change)
		}
	}
	for _, server := range servers {
		if !want[server.ID] {
			losses = append(losses, Change{Kind: Remove, ID: server.ID})
		}
	}
	return append(gains, losses...)
}

func (m *Membership) step(ctx context.Context) error {
	servers, err := m.Quorum.Servers()
	if err != nil {
		return err
	}
	var members []*novacronv1.Member
	for _, member := range m.Store.View().Members() {
		members = append(members, member)
	}
	if len(members) == 0 { // the first command, which names the first member, is still on its way
		return nil
	}
	for _, change := range Plan(members, servers) {
		if change.Kind == Promote && !m.caughtUp(ctx, change.ID) {
			continue
		}
		m.Logger.Info("the quorum changes", "change", change.Kind, "member", change.ID)
		return m.make(ctx, change)
	}
	return nil
}

func (m *Membership) make(ctx context.Context, change Change) error {
	ctx, cancel := context.WithTimeout(ctx, membershipChange)
	defer cancel()
	switch change.Kind {
	case Add:
		return m.Quorum.AddNonvoter(ctx, change.ID, change.Addr)
	case Promote:
		return m.Quorum.AddVoter(ctx, change.ID, change.Addr)
	case Demote:
		return m.Quorum.Demote(ctx, change.ID)
	default:
		return m.Quorum.Remove(ctx, change.ID)
	}
}

// caughtUp tells whether a controller is alive and near enough to the end of the log: a voter that lags would hold up
// every commit.
func (m *Membership) caughtUp(ctx context.Context, id string) bool {
	member, ok := m.Store.View().Member(id)
	if !ok {
		return false
	}
	applied, err := m.Applied(ctx, member)
	return err == nil && applied+caughtUpWithin >= m.Quorum.Stats().CommitIndex
}
