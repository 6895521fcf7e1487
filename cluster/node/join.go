package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/pki"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

// joinTimeout bounds one attempt: an election may be going on.
const joinTimeout = 20 * time.Second

// JoinOptions say who wants to join which cluster, as what.
type JoinOptions struct {
	DataDir string
	Name    string
	// Token is a join token; it decides the role.
	Token string
	// Controllers are API addresses to try in turn.
	Controllers []string
	// API, Raft and Gossip are this member's own addresses; clients have none.
	API, Raft, Gossip string
	Agent             AgentConfig
}

// Joined is what a token was worth.
type Joined struct {
	// Material proves the new member or client.
	Material pki.Material
	// Config is the new member's; its DataDir is ready. Clients have none.
	Config Config
	// Controllers are API addresses of the cluster's controllers.
	Controllers []string
}

// Join redeems a token. The controller's certificate is pinned by the CA fingerprint in the token, before anything is
// sent. For a token of a node role the data directory is prepared.
func Join(ctx context.Context, o JoinOptions) (Joined, error) {
	token, err := pki.ParseToken(o.Token)
	if err != nil {
		return Joined{}, err
	}
	if err := errors.Join(pki.ValidateNodeName(o.Name), vacant(o.DataDir)); err != nil {
		return Joined{}, err
	}
	key, csr, err := pki.NewKeyAndCSR()
	if err != nil {
		return Joined{}, err
	}
	answer, err := redeem(ctx, o, token, &novacronv1.JoinRequest{
		Token: o.Token, NodeName: o.Name, Csr: csr, ApiAddress: o.API, RaftAddress: o.Raft, GossipAddress: o.Gossip,
	})
	if err != nil {
		return Joined{}, err
	}
	return accept(o, answer, key)
}

// redeem tries the controllers in turn. Only a controller that could not be reached is passed over: an answer, good or
// bad, is final, because the token works once.
func redeem(ctx context.Context, o JoinOptions, token pki.Token, request *novacronv1.JoinRequest) (*novacronv1.JoinResponse, error) {
	if len(o.Controllers) == 0 {
		return nil, errors.New("no controller address given: name at least one, host:port")
	}
	client := HTTPClient(pki.JoinTLS(token.CAFingerprint))
	defer client.CloseIdleConnections()
	var failures []error
	for _, address := range o.Controllers {
		attempt, cancel := context.WithTimeout(ctx, joinTimeout)
		answer, err := novacronv1connect.NewJoinServiceClient(client, URL(address)).Join(attempt, connect.NewRequest(request))
		cancel()
		if err == nil {
			return answer.Msg, nil
		}
		failures = append(failures, fmt.Errorf("controller %s: %w", address, err))
		if code := connect.CodeOf(err); code != connect.CodeUnavailable && code != connect.CodeDeadlineExceeded {
			break
		}
	}
	return nil, fmt.Errorf("join: %w", errors.Join(failures...))
}

func accept(o JoinOptions, answer *novacronv1.JoinResponse, key []byte) (Joined, error) {
	role, err := RoleFromProto(answer.GetRole())
	if err != nil {
		return Joined{}, err
	}
	joined := Joined{Material: pki.Material{
		Identity: pki.Identity{ClusterID: answer.GetClusterId(), NodeID: answer.GetNodeId(), Name: o.Name, Role: role},
		CertPEM:  answer.GetCertificate(), KeyPEM: key, CAPEM: answer.GetCaCertificate(),
		GossipKey: answer.GetGossipKey(), CAKeyPEM: answer.GetCaKey(),
	}}
	seeds := []string{}
	for _, member := range answer.GetMembers() {
		seeds = append(seeds, member.GetGossipAddress())
		if member.GetRole() == novacronv1.Role_ROLE_CONTROLLER {
			joined.Controllers = append(joined.Controllers, member.GetApiAddress())
		}
	}
	if !role.IsNode() {
		return joined, nil
	}
	joined.Config = Config{
		DataDir: o.DataDir, ClusterID: answer.GetClusterId(), NodeID: answer.GetNodeId(), Name: o.Name, Role: role,
		API: o.API, Raft: o.Raft, Gossip: o.Gossip, Controllers: joined.Controllers, Seeds: seeds,
	}
	if role == pki.RoleAgent {
		joined.Config.Agent = o.Agent
	}
	return joined, create(joined.Config, joined.Material)
}
