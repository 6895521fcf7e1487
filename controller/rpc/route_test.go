package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/cluster/blob"
	"github.com/novacron/novacron/cluster/consensus"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// log is a replicated log as a test wants it to look.
type log struct {
	leads    bool
	leaderID string
	readErr  error
	reads    int
}

func (l *log) Propose(context.Context, []byte) (any, uint64, error) {
	return nil, 0, consensus.ErrClosed
}
func (l *log) ReadIndex(context.Context) error                  { l.reads++; return l.readErr }
func (l *log) WaitApplied(context.Context, uint64) error        { return nil }
func (l *log) IsLeader() bool                                   { return l.leads }
func (l *log) Leader() (string, string)                         { return l.leaderID, "" }
func (l *log) Servers() ([]consensus.Server, error)             { return nil, nil }
func (l *log) Stats() consensus.Stats                           { return consensus.Stats{} }
func (l *log) TransferLeadership(context.Context, string) error { return nil }
func (l *log) Backup(context.Context, io.Writer) error          { return nil }
func (l *log) Restore(context.Context, io.Reader) error         { return nil }

// server knows the controllers c1, itself, and c2.
func server(t *testing.T, l *log) *Server {
	t.Helper()
	s := &Server{Self: pki.Identity{NodeID: "c1", Name: "one"}, Store: state.New(), Consensus: l}
	for i, id := range []string{"c1", "c2"} {
		command := &statev1.Command{Version: state.Version, Time: timestamppb.Now(), Op: &statev1.Command_PutMember{PutMember: &statev1.PutMember{
			Member: &novacronv1.Member{Id: id, Name: id, Role: novacronv1.Role_ROLE_CONTROLLER, ApiAddress: id + ":7750", Voter: true},
		}}}
		encoded, err := proto.Marshal(command)
		require.NoError(t, err)
		require.NoError(t, s.Store.Apply(uint64(i+1), encoded).Err)
	}
	return s
}

func TestRoute(t *testing.T) {
	lost := errors.New("lost")
	for _, c := range []struct {
		name        string
		log         log
		at          place
		consistency string
		forwarded   bool
		local       bool
		target      string
		reads       int
		code        connect.Code
	}{
		{name: "here", at: here, local: true},
		{name: "stale read on a follower", at: read, consistency: "stale", local: true},
		{name: "read on a follower", log: log{leaderID: "c2"}, at: read, target: "c2:7750"},
		{name: "read on the leader", log: log{leads: true}, at: read, local: true, reads: 1},
		{name: "read on one that leads no more", log: log{leads: true, readErr: consensus.ErrNotLeader}, at: read, local: true, reads: 1, code: connect.CodeUnavailable},
		{name: "leader read", log: log{leads: true}, at: read, consistency: "leader", local: true},
		{name: "write on a follower", log: log{leaderID: "c2"}, at: leader, consistency: "stale", target: "c2:7750"},
		{name: "write on the leader", log: log{leads: true, readErr: lost}, at: leader, local: true},
		{name: "no second hop", log: log{leaderID: "c2"}, at: leader, forwarded: true, code: connect.CodeUnavailable},
		{name: "nobody leads", at: leader, code: connect.CodeUnavailable},
		{name: "an unknown leader", log: log{leaderID: "stranger"}, at: leader, code: connect.CodeUnavailable},
		{name: "a word that is none", at: here, consistency: "strong", code: connect.CodeInvalidArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := server(t, &c.log)
				request := httptest.NewRequestWithContext(context.WithValue(t.Context(), callerKey{}, Caller{Forwarded: c.forwarded}), http.MethodPost, "/", nil)
				request.Header.Set(HeaderConsistency, c.consistency)
				local, target, err := s.route(request, c.at)
				require.Equal(t, c.reads, c.log.reads)
				if c.code != 0 {
					require.Equal(t, c.code, connect.CodeOf(err), "%v", err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.local, local)
				if c.target != "" {
					require.Equal(t, "https://"+c.target, target.String())
				}
			})
		})
	}
}

func TestRouteWaitsThroughAnElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		s := server(t, l)
		began := time.Now()
		_, err := s.awaitLeader(t.Context())
		require.Equal(t, connect.CodeUnavailable, connect.CodeOf(err))
		require.ErrorContains(t, err, "controller one sees no majority")
		require.Equal(t, electionPatience, time.Since(began))
	})
}

func TestEveryErrorHasItsCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		code connect.Code
	}{
		{state.ErrNotFound, connect.CodeNotFound},
		{state.ErrExists, connect.CodeAlreadyExists},
		{state.ErrStale, connect.CodeAborted},
		{state.ErrCompacted, connect.CodeOutOfRange},
		{&consensus.NotLeaderError{}, connect.CodeUnavailable},
		{consensus.ErrOutcomeUnknown, connect.CodeUnavailable},
		{&blob.MismatchError{}, connect.CodeInvalidArgument},
		{blob.ErrBadHash, connect.CodeInvalidArgument},
		{blob.ErrQuota, connect.CodeResourceExhausted},
		{blob.ErrNoSpace, connect.CodeResourceExhausted},
		{context.Canceled, connect.CodeCanceled},
		{errors.New("what is this"), connect.CodeInternal},
		{connect.NewError(connect.CodeDataLoss, state.ErrNotFound), connect.CodeDataLoss},
	} {
		err := toConnect(fmt.Errorf("in a layer: %w", c.err))
		require.Equal(t, c.code, connect.CodeOf(err), "%v", c.err)
		require.ErrorIs(t, err, c.err)
	}
	require.NoError(t, toConnect(nil))
}

func TestForwardedCallersArriveAsTheyWere(t *testing.T) {
	names := rapid.StringMatching(`[A-Za-z0-9-]{1,63}`)
	rapid.Check(t, func(t *rapid.T) {
		before := Caller{Identity: pki.Identity{
			Role:   rapid.SampledFrom([]pki.Role{pki.RoleAdmin, pki.RoleOperator, pki.RoleViewer, pki.RoleAgent, pki.RoleController}).Draw(t, "role"),
			NodeID: names.Draw(t, "id"), Name: names.Draw(t, "name"),
		}, Remote: rapid.SampledFrom([]string{"10.0.0.1:5", "[fe80::1%eth0]:7", "[::1]:8"}).Draw(t, "remote")}
		after, err := parseCaller(encodeCaller(before))
		require.NoError(t, err)
		require.Equal(t, before, after)
	})
	for _, bad := range []string{"", "admin", "admin/x/y", "admin/x@r", "a/b/c/d@r"} {
		_, err := parseCaller(bad)
		require.Error(t, err, bad)
	}
}

func TestOnlyWhatIsHeardIsNews(t *testing.T) {
	known := &novacronv1.VM{Epoch: 2, Status: &novacronv1.VMStatus{Phase: novacronv1.VMPhase_VM_PHASE_FAILED, ObservedGeneration: 3, Message: "why"}}
	same := &agentv1.VMObservation{Epoch: 2, ObservedGeneration: 3, Phase: novacronv1.VMPhase_VM_PHASE_FAILED, Message: "why"}
	require.False(t, isNews(known, same))
	for name, change := range map[string]func(*agentv1.VMObservation){
		"phase":      func(o *agentv1.VMObservation) { o.Phase = novacronv1.VMPhase_VM_PHASE_RUNNING },
		"message":    func(o *agentv1.VMObservation) { o.Message = "" },
		"guest":      func(o *agentv1.VMObservation) { o.Guest = &novacronv1.GuestInfo{Hostname: "web"} },
		"generation": func(o *agentv1.VMObservation) { o.ObservedGeneration = 4 },
		"gone":       func(o *agentv1.VMObservation) { o.Gone = true },
	} {
		seen := proto.CloneOf(same)
		change(seen)
		require.True(t, isNews(known, seen), name)
		seen.Epoch = 1
		require.False(t, isNews(known, seen), "%s in another epoch", name)
	}
	old := &agentv1.VMObservation{Epoch: 2, ObservedGeneration: 2, Phase: novacronv1.VMPhase_VM_PHASE_STOPPED}
	require.False(t, isNews(known, old), "it would be committed at every report, and heard at none")
}

func TestHostsAreToldOfIntentAlone(t *testing.T) {
	vm := &novacronv1.VM{Id: "vm", HostId: "h1", Epoch: 1, Generation: 1}
	with := func(change func(*novacronv1.VM)) *novacronv1.VM {
		after := proto.CloneOf(vm)
		change(after)
		return after
	}
	for name, c := range map[string]struct {
		change state.Change
		told   bool
	}{
		"status":     {state.Change{Before: vm, After: with(func(v *novacronv1.VM) { v.Status = &novacronv1.VMStatus{Message: "x"} })}, false},
		"generation": {state.Change{Before: vm, After: with(func(v *novacronv1.VM) { v.Generation++ })}, true},
		"bound":      {state.Change{Before: with(func(v *novacronv1.VM) { v.HostId = "" }), After: vm}, true},
		"moved away": {state.Change{Before: vm, After: with(func(v *novacronv1.VM) { v.HostId = "h2" })}, true},
		"deleted":    {state.Change{Before: vm}, true},
		"elsewhere":  {state.Change{After: with(func(v *novacronv1.VM) { v.HostId = "h2" })}, false},
		"member":     {state.Change{After: &novacronv1.Member{}}, true},
		"image":      {state.Change{After: &novacronv1.Image{}}, false},
	} {
		require.Equal(t, c.told, concerns([]state.Change{c.change}, "h1"), name)
	}
}

func TestPages(t *testing.T) {
	require.Equal(t, defaultPage, newPage(0).size)
	require.Equal(t, maxPage, newPage(1<<31).size)
	require.True(t, newPage(1).full(1))
	require.False(t, newPage(2).full(1))
}

func TestHealthIsJudged(t *testing.T) {
	voter := func(problem, leader string, applied uint64) *novacronv1.ControllerHealth {
		return &novacronv1.ControllerHealth{Member: &novacronv1.Member{Name: "c", Voter: true}, Problem: problem,
			Status: &novacronv1.ControllerStatus{LeaderId: leader, AppliedIndex: applied, CommitIndex: 5000}}
	}
	for name, c := range map[string]struct {
		controllers []*novacronv1.ControllerHealth
		tolerance   int32
		problems    int
	}{
		"all well":      {[]*novacronv1.ControllerHealth{voter("", "c", 5000), voter("", "c", 5000), voter("", "c", 5000)}, 1, 0},
		"one away":      {[]*novacronv1.ControllerHealth{voter("", "c", 5000), voter("", "c", 5000), voter("dead", "", 0)}, 0, 1},
		"one lags":      {[]*novacronv1.ControllerHealth{voter("", "c", 5000), voter("", "c", 5000), voter("", "c", 1)}, 0, 1},
		"no quorum":     {[]*novacronv1.ControllerHealth{voter("", "", 5000), voter("dead", "", 0), voter("dead", "", 0)}, -2, 4},
		"one for all":   {[]*novacronv1.ControllerHealth{voter("", "c", 5000)}, 0, 0},
		"listener lags": {[]*novacronv1.ControllerHealth{voter("", "c", 5000), {Member: &novacronv1.Member{Name: "n"}, Problem: "dead"}}, 0, 1},
	} {
		answer := &novacronv1.GetHealthResponse{Controllers: c.controllers}
		judge(answer)
		require.Equal(t, c.tolerance, answer.GetFailureTolerance(), name)
		require.Len(t, answer.GetProblems(), c.problems, name)
	}
}
