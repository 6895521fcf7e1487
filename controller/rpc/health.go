package rpc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

const (
	// statusTimeout is how long a controller may take to tell its status.
	statusTimeout = 2 * time.Second
	// maxLag is how many entries a healthy controller may be behind.
	maxLag = 1000
)

// GetControllerStatus tells about this controller.
func (s *clusterService) GetControllerStatus(_ context.Context, r *connect.Request[novacronv1.GetControllerStatusRequest]) (*connect.Response[novacronv1.GetControllerStatusResponse], error) {
	stats := s.Consensus.Stats()
	leaderID, _ := s.Consensus.Leader()
	member, _ := s.Store.View().Member(s.Self.NodeID)
	status := &novacronv1.ControllerStatus{
		Id: s.Self.NodeID, Name: s.Self.Name, Version: s.Version, State: strings.ToLower(stats.State), Term: stats.Term,
		CommitIndex: stats.CommitIndex, AppliedIndex: stats.AppliedIndex, LastContact: durationpb.New(stats.LastContact),
		LeaderId: leaderID, CertificateExpiry: timestamppb.New(s.Credentials.Expires()), Voter: member.GetVoter(),
	}
	var err error
	if r.Msg.GetHash() {
		view := s.Store.View()
		status.AppliedIndex = view.Revision()
		status.StateHash, err = view.Hash()
	}
	return connect.NewResponse(&novacronv1.GetControllerStatusResponse{Status: status}), err
}

// GetHealth asks every controller at once and judges the whole. It works without a leader: that is when it is needed.
func (s *clusterService) GetHealth(ctx context.Context, _ *connect.Request[novacronv1.GetHealthRequest]) (*connect.Response[novacronv1.GetHealthResponse], error) {
	view := s.Store.View()
	answer := &novacronv1.GetHealthResponse{Controllers: s.askControllers(ctx, view)}
	judge(answer)
	for _, host := range view.Hosts("") {
		answer.Hosts++
		if host.GetState() == novacronv1.HostState_HOST_STATE_UP {
			answer.HostsUp++
		} else {
			answer.Problems = append(answer.Problems, fmt.Sprintf("host %s is %s", host.GetName(), host.GetState()))
		}
	}
	answer.Healthy = len(answer.Problems) == 0
	return connect.NewResponse(answer), nil
}

func (s *clusterService) askControllers(ctx context.Context, view state.View) []*novacronv1.ControllerHealth {
	var controllers []*novacronv1.ControllerHealth
	var asking sync.WaitGroup
	for _, member := range view.Members() {
		if member.GetRole() != novacronv1.Role_ROLE_CONTROLLER {
			continue
		}
		health := &novacronv1.ControllerHealth{Member: member}
		controllers = append(controllers, health)
		asking.Go(func() { s.ask(ctx, health) })
	}
	asking.Wait()
	return controllers
}

func (s *clusterService) ask(ctx context.Context, health *novacronv1.ControllerHealth) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	request := connect.NewRequest(&novacronv1.GetControllerStatusRequest{})
	var answer *connect.Response[novacronv1.GetControllerStatusResponse]
	var err error
	if health.GetMember().GetId() == s.Self.NodeID {
		answer, err = s.GetControllerStatus(ctx, request)
	} else {
		answer, err = novacronv1connect.NewClusterServiceClient(s.Peers, memberURL(health.GetMember().GetApiAddress())).GetControllerStatus(ctx, request)
	}
	if err != nil {
		health.Problem = err.Error()
		return
	}
	health.Status = answer.Msg.GetStatus()
}

// judge compares the controllers with each other and counts how many voters may still fail.
func judge(answer *novacronv1.GetHealthResponse) {
	var highest uint64
	for _, c := range answer.GetControllers() {
		highest = max(highest, c.GetStatus().GetCommitIndex())
	}
	voters, healthy := 0, 0
	for _, c := range answer.GetControllers() {
		if status := c.GetStatus(); c.GetProblem() == "" {
			switch {
			case status.GetLeaderId() == "":
				c.Problem = "sees no leader"
			case status.GetAppliedIndex()+maxLag < highest:
				c.Problem = fmt.Sprintf("%d entries behind, at most %d", highest-status.GetAppliedIndex(), maxLag)
			}
		}
		c.Healthy = c.GetProblem() == ""
		if c.GetMember().GetVoter() {
			voters++
			if c.GetHealthy() {
				healthy++
			}
		}
		if !c.GetHealthy() {
			answer.Problems = append(answer.Problems, fmt.Sprintf("controller %s: %s", c.GetMember().GetName(), c.GetProblem()))
		}
	}
	answer.FailureTolerance = int32(healthy - (voters/2 + 1))
	if answer.GetFailureTolerance() < 0 {
		answer.Problems = append(answer.Problems, fmt.Sprintf("no quorum: %d of %d voters are healthy, %d are needed", healthy, voters, voters/2+1))
	}
}

// keepsQuorum refuses to take a healthy voter away when those that remain could not decide.
func (s *clusterService) keepsQuorum(ctx context.Context, leaving *novacronv1.Member) error {
	if !leaving.GetVoter() {
		return nil
	}
	remaining, healthy := 0, 0
	answer := &novacronv1.GetHealthResponse{Controllers: s.askControllers(ctx, s.Store.View())}
	judge(answer)
	for _, c := range answer.GetControllers() {
		if c.GetMember().GetVoter() && c.GetMember().GetId() != leaving.GetId() {
			remaining++
			if c.GetHealthy() {
				healthy++
			}
		}
	}
	if healthy < remaining/2+1 {
		return fmt.Errorf("%w: without %s only %d of %d voters would be healthy, fewer than the %d of a quorum: mend the others first, or force it",
			state.ErrRefused, leaving.GetName(), healthy, remaining, remaining/2+1)
	}
	return nil
}
