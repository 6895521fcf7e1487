package rpc

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// CreateToken makes a join token. The cluster keeps a hash of its secret.
func (s *clusterService) CreateToken(ctx context.Context, r *connect.Request[novacronv1.CreateTokenRequest]) (*connect.Response[novacronv1.CreateTokenResponse], error) {
	role, err := node.RoleFromProto(r.Msg.GetRole())
	if err != nil {
		return nil, invalid(err)
	}
	ttl := pki.MaxTokenTTL
	if r.Msg.GetTtl() != nil {
		ttl = r.Msg.GetTtl().AsDuration()
	}
	secret, record, err := pki.NewToken(role, ttl, r.Msg.GetNodeName(), s.CA.Fingerprint(), s.Now())
	if err != nil {
		return nil, invalid(err)
	}
	stored := &statev1.TokenRecord{
		Id: record.ID, SecretHash: record.SecretHash, Role: r.Msg.GetRole(), NodeName: record.NodeName, ExpireTime: timestamppb.New(record.Expires),
	}
	if _, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_PutToken{PutToken: &statev1.PutToken{Token: stored}}
	}); err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.CreateTokenResponse{Secret: secret, Token: tokenOf(stored)}), nil
}

func tokenOf(record *statev1.TokenRecord) *novacronv1.Token {
	return &novacronv1.Token{
		Id: record.GetId(), Role: record.GetRole(), NodeName: record.GetNodeName(), ExpireTime: record.GetExpireTime(),
		Used: record.GetUsed(), UsedBy: record.GetUsedBy(),
	}
}

func (s *clusterService) ListTokens(context.Context, *connect.Request[novacronv1.ListTokensRequest]) (*connect.Response[novacronv1.ListTokensResponse], error) {
	answer := &novacronv1.ListTokensResponse{}
	for _, record := range s.Store.View().Tokens() {
		answer.Tokens = append(answer.Tokens, tokenOf(record))
	}
	return connect.NewResponse(answer), nil
}

func (s *clusterService) RevokeToken(ctx context.Context, r *connect.Request[novacronv1.RevokeTokenRequest]) (*connect.Response[novacronv1.RevokeTokenResponse], error) {
	_, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteToken{DeleteToken: &statev1.DeleteToken{Id: r.Msg.GetId()}}
	})
	return connect.NewResponse(&novacronv1.RevokeTokenResponse{}), err
}

type joinService struct{ *Server }

var _ novacronv1connect.JoinServiceHandler = (*joinService)(nil)

// Join redeems a token. The certificate is signed before the token is used up, so that a bad key costs nothing.
func (s *joinService) Join(ctx context.Context, r *connect.Request[novacronv1.JoinRequest]) (*connect.Response[novacronv1.JoinResponse], error) {
	token, role, err := s.admit(ctx, r.Msg)
	if err != nil {
		return nil, err
	}
	id := pki.Identity{ClusterID: s.Self.ClusterID, NodeID: s.NewID(), Name: r.Msg.GetNodeName(), Role: role}
	certificate, err := s.CA.Sign(r.Msg.GetCsr(), id, nil, 0, s.Now())
	if err != nil {
		return nil, err
	}
	if _, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_RedeemToken{RedeemToken: &statev1.RedeemToken{
			TokenId: token.ID, SecretHash: token.SecretHash, NodeName: id.Name, UsedBy: id.Name, Member: s.memberOf(id, r.Msg),
		}}
	}); err != nil {
		return nil, err
	}
	s.Logger.Info("a token was redeemed", "audit", true, "role", role, "name", id.Name, "id", id.NodeID, "remote", callerOf(ctx).Remote)
	return connect.NewResponse(s.welcome(id, certificate)), nil
}

// admit checks everything about a join that can be checked before the token is used up.
func (s *joinService) admit(ctx context.Context, r *novacronv1.JoinRequest) (pki.TokenRecord, pki.Role, error) {
	remote := callerOf(ctx).Remote
	if wait, ok := s.Throttle.Attempt(remote); !ok {
		return pki.TokenRecord{}, "", connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("too many failed joins from %s: try again in %s", remote, wait.Round(time.Second)))
	}
	record, err := s.verify(r)
	if err != nil {
		return pki.TokenRecord{}, "", connect.NewError(connect.CodePermissionDenied, err)
	}
	s.Throttle.Succeeded(remote)
	if err := checkAddresses(record.Role, r); err != nil {
		return pki.TokenRecord{}, "", invalid(err)
	}
	return record, record.Role, nil
}

func (s *joinService) verify(r *novacronv1.JoinRequest) (pki.TokenRecord, error) {
	token, err := pki.ParseToken(r.GetToken())
	if err != nil {
		return pki.TokenRecord{}, err
	}
	stored, ok := s.Store.View().Token(token.ID)
	if !ok {
		return pki.TokenRecord{}, fmt.Errorf("%w: ask for a new one with «novacron cluster token create»", pki.ErrTokenUnknown)
	}
	role, err := node.RoleFromProto(stored.GetRole())
	if err != nil {
		return pki.TokenRecord{}, err
	}
	record := pki.TokenRecord{ID: stored.GetId(), SecretHash: stored.GetSecretHash(), Role: role, NodeName: stored.GetNodeName(), Expires: stored.GetExpireTime().AsTime()}
	if err := record.Verify(token, r.GetNodeName(), s.Now()); err != nil {
		return pki.TokenRecord{}, err
	}
	if stored.GetUsed() {
		return pki.TokenRecord{}, fmt.Errorf("%w, by %s: each works once, ask for a new one", pki.ErrTokenUsed, stored.GetUsedBy())
	}
	return record, pki.ValidateNodeName(r.GetNodeName())
}

func checkAddresses(role pki.Role, r *novacronv1.JoinRequest) error {
	if !role.IsNode() {
		return nil
	}
	fields := map[string]string{"api_address": r.GetApiAddress(), "gossip_address": r.GetGossipAddress()}
	if role == pki.RoleController {
		fields["raft_address"] = r.GetRaftAddress()
	}
	for field, address := range fields {
		if err := node.CheckAddress(address); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
	}
	return nil
}

func (s *joinService) memberOf(id pki.Identity, r *novacronv1.JoinRequest) *novacronv1.Member {
	if !id.Role.IsNode() {
		return nil
	}
	return &novacronv1.Member{
		Id: id.NodeID, Name: id.Name, Role: node.RoleToProto(id.Role), JoinTime: timestamppb.New(s.Now()),
		ApiAddress: r.GetApiAddress(), RaftAddress: r.GetRaftAddress(), GossipAddress: r.GetGossipAddress(),
		Voter: id.Role == pki.RoleController,
	}
}

func (s *joinService) welcome(id pki.Identity, certificate []byte) *novacronv1.JoinResponse {
	answer := &novacronv1.JoinResponse{
		NodeId: id.NodeID, ClusterId: id.ClusterID, Role: node.RoleToProto(id.Role), Certificate: certificate, CaCertificate: s.CA.CertPEM(),
	}
	if id.Role.IsNode() {
		answer.GossipKey = s.Credentials.Material().GossipKey
	}
	if id.Role == pki.RoleController {
		answer.CaKey = s.CA.KeyPEM()
	}
	for _, member := range s.Store.View().Members() {
		answer.Members = append(answer.Members, member)
	}
	return answer
}
