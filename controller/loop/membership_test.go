package loop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/cluster/consensus"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// quorum is a Raft configuration in memory, which makes the changes that it is told to.
type quorum struct {
	servers []consensus.Server
	commit  uint64
	changes []ChangeKind
}

func (q *quorum) Servers() ([]consensus.Server, error) { return slices.Clone(q.servers), nil }
func (q *quorum) Stats() consensus.Stats               { return consensus.Stats{CommitIndex: q.commit} }

func (q *quorum) AddNonvoter(_ context.Context, id, addr string) error {
	return q.apply(Change{Add, id, addr})
}

func (q *quorum) AddVoter(_ context.Context, id, addr string) error {
	return q.apply(Change{Promote, id, addr})
}
func (q *quorum) Demote(_ context.Context, id string) error { return q.apply(Change{Demote, id, ""}) }
func (q *quorum) Remove(_ context.Context, id string) error { return q.apply(Change{Remove, id, ""}) }

func (q *quorum) apply(change Change) error {
	q.changes = append(q.changes, change.Kind)
	i := slices.IndexFunc(q.servers, func(s consensus.Server) bool { return s.ID == change.ID })
	switch {
	case change.Kind == Remove:
		q.servers = slices.Delete(q.servers, i, i+1)
	case change.Kind == Demote:
		q.servers[i].Voter = false
	case i < 0:
		q.servers = append(q.servers, consensus.Server{ID: change.ID, Addr: change.Addr, Voter: change.Kind == Promote})
	default:
		q.servers[i].Addr = change.Addr
		q.servers[i].Voter = q.servers[i].Voter || change.Kind == Promote
	}
	return nil
}

func controllerIDs(t *rapid.T) map[string]bool {
	voters := map[string]bool{}
	for i := range 6 {
		if rapid.Bool().Draw(t, fmt.Sprintf("member %d", i)) {
			voters[fmt.Sprintf("c%d", i)] = rapid.Bool().Draw(t, fmt.Sprintf("votes %d", i))
		}
	}
	return voters
}

func TestPlanConvergesAndAddsBeforeItRemoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var members []*novacronv1.Member
		wanted := controllerIDs(t)
		for id, voter := range wanted {
			address := fmt.Sprintf("%s:%d", id, rapid.IntRange(1, 2).Draw(t, "port of "+id))
			members = append(members, &novacronv1.Member{Id: id, Role: novacronv1.Role_ROLE_CONTROLLER, Voter: voter, RaftAddress: address})
		}
		members = append(members, &novacronv1.Member{Id: "agent", Role: novacronv1.Role_ROLE_AGENT})
		q := &quorum{}
		for id, voter := range controllerIDs(t) {
			q.servers = append(q.servers, consensus.Server{ID: id, Voter: voter, Addr: id + ":1"})
		}
		for range 50 {
			plan := Plan(members, q.servers)
			for i := 1; i < len(plan); i++ {
				gains := func(k ChangeKind) bool { return k == Add || k == Promote }
				require.False(t, gains(plan[i].Kind) && !gains(plan[i-1].Kind), "%v", plan)
			}
			if len(plan) == 0 {
				break
			}
			require.NoError(t, q.apply(plan[0]))
		}
		require.Empty(t, Plan(members, q.servers), "a converged configuration is not touched")
		require.Len(t, q.servers, len(wanted))
		for _, server := range q.servers {
			require.Equal(t, wanted[server.ID], server.Voter)
		}
	})
}

func TestNewcomersVoteOnceTheyHaveCaughtUp(t *testing.T) {
	r := newReplica()
	for i, id := range []string{"c1", "c2"} {
		r.do(t, func(c *statev1.Command) {
			c.Op = &statev1.Command_PutMember{PutMember: &statev1.PutMember{Member: &novacronv1.Member{
				Id: id, Name: id, Role: novacronv1.Role_ROLE_CONTROLLER, Voter: true, RaftAddress: fmt.Sprintf("h:%d", i),
			}}}
		})
	}
	q := &quorum{servers: []consensus.Server{{ID: "c1", Addr: "h:0", Voter: true}}, commit: 10 * caughtUpWithin}
	applied, reach := uint64(0), errors.New("unreachable")
	m := &Membership{Store: r.store, Quorum: q, Logger: quiet(), Applied: func(context.Context, *novacronv1.Member) (uint64, error) { return applied, reach }}
	for range 3 {
		require.NoError(t, m.step(t.Context()))
	}
	require.Equal(t, []ChangeKind{Add}, q.changes, "it cannot be asked")
	reach = nil
	require.NoError(t, m.step(t.Context()))
	require.Equal(t, []ChangeKind{Add}, q.changes, "it is far behind")
	applied = q.commit - caughtUpWithin
	require.NoError(t, m.step(t.Context()))
	require.NoError(t, m.step(t.Context()))
	require.Equal(t, []ChangeKind{Add, Promote}, q.changes)
}

func TestWithoutMembersNobodyIsRemoved(t *testing.T) {
	q := &quorum{servers: []consensus.Server{{ID: "c1", Voter: true}}}
	m := &Membership{Store: newReplica().store, Quorum: q, Logger: quiet()}
	require.NoError(t, m.step(t.Context()))
	require.Empty(t, q.changes)
}
