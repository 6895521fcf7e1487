package state

import (
	"crypto/subtle"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// tokenMemory is how long a token is remembered after it expired, so that «used» can be told from «never existed».
const tokenMemory = 24 * time.Hour

func (t *tables) member(idOrName string) (*novacronv1.Member, bool) {
	if member, ok := t.members.get(idOrName); ok {
		return member, true
	}
	for _, member := range t.members.after("") { // members are few, and looked up by people
		if member.GetName() == idOrName {
			return member, true
		}
	}
	return nil, false
}

func (x *txn) findMember(id string) (*novacronv1.Member, error) {
	member, ok := x.t.members.get(id)
	if !ok {
		return nil, fmt.Errorf("%w: member %q: see the members of the cluster", ErrNotFound, id)
	}
	return member, nil
}

func (x *txn) initCluster(op *statev1.InitCluster) (proto.Message, error) {
	if x.t.clusterID == op.GetClusterId() {
		return nil, nil // proposed again after a crash
	}
	if x.t.clusterID != "" {
		return nil, fmt.Errorf("%w: this is cluster %s already", ErrExists, x.t.clusterID)
	}
	x.t.clusterID = op.GetClusterId()
	return x.putMember(edit(op.GetMember())), nil
}

// updateMember puts a member as it is, as after a restore, and after a change of its addresses.
func (x *txn) updateMember(op *statev1.PutMember) (proto.Message, error) {
	after := edit(op.GetMember())
	x.t.revoked.delete(after.GetId())
	if _, ok := x.t.hosts.get(after.GetId()); !ok && after.GetRole() == novacronv1.Role_ROLE_AGENT {
		x.putHost(&statev1.HostRecord{Id: after.GetId(), State: novacronv1.HostState_HOST_STATE_JOINING})
	}
	return x.putMember(after), nil
}

func (x *txn) setMemberVoting(op *statev1.SetMemberVoting) (proto.Message, error) {
	before, err := x.findMember(op.GetId())
	if err != nil {
		return nil, err
	}
	if before.GetRole() != novacronv1.Role_ROLE_CONTROLLER {
		return nil, fmt.Errorf("%w: member %s is no controller: only controllers vote", ErrRefused, before.GetName())
	}
	if !op.GetVoter() && before.GetVoter() && x.t.voters() == 1 {
		return nil, fmt.Errorf("%w: %s is the only voter: promote another controller first", ErrRefused, before.GetName())
	}
	after := edit(before)
	after.Voter = op.GetVoter()
	return x.putMember(after), nil
}

func (t *tables) voters() (n int) {
	for _, member := range t.members.after("") {
		if member.GetVoter() {
			n++
		}
	}
	return n
}

func (x *txn) removeMember(op *statev1.RemoveMember) (proto.Message, error) {
	member, err := x.findMember(op.GetId())
	if err != nil {
		return nil, err
	}
	if member.GetVoter() && x.t.voters() == 1 {
		return nil, fmt.Errorf("%w: %s is the only voter: without it there is no cluster", ErrRefused, member.GetName())
	}
	if _, owned := x.t.allocated(member.GetId()); owned > 0 && !op.GetForce() {
		return nil, fmt.Errorf("%w: host %s owns %d virtual machines: delete them first, or force to give them up", ErrRefused, member.GetName(), owned)
	}
	if volumes := collect(x.t.volumesOf(member.GetId())); len(volumes) > 0 && !op.GetForce() {
		return nil, fmt.Errorf("%w: host %s has %d volumes: delete them first, or force to give them up", ErrRefused, member.GetName(), len(volumes))
	}
	x.t.members.delete(member.GetId())
	x.changed(member, nil)
	if host, ok := x.t.hosts.get(member.GetId()); ok {
		x.t.hosts.delete(member.GetId())
		x.changed(host, nil)
		x.abandon(member)
	}
	x.endSourcesOf(member)
	x.t.revoked.put(member.GetId(), &statev1.RevokedNode{Id: member.GetId(), Time: x.now})
	return member, nil
}

// abandon marks the machines and volumes of a host that was removed by force.
func (x *txn) abandon(host *novacronv1.Member) {
	for _, volume := range collect(x.t.volumesOf(host.GetId())) {
		x.failVolume(volume, "its host "+host.GetName()+" was removed from the cluster: delete the volume to forget it")
	}
	for _, vm := range collect(x.t.vmsOf(host.GetId())) {
		after := edit(vm)
		after.Status = &novacronv1.VMStatus{
			Phase: novacronv1.VMPhase_VM_PHASE_FAILED, UpdateTime: x.now, ObservedGeneration: vm.GetGeneration(),
			Message: fmt.Sprintf("host %s was removed from the cluster: delete the virtual machine to forget it", host.GetName()),
		}
		x.putVM(settle(after))
	}
}

func (x *txn) putToken(op *statev1.PutToken) (proto.Message, error) {
	for id, token := range x.t.tokens.after("") {
		if x.now.AsTime().Sub(token.GetExpireTime().AsTime()) > tokenMemory {
			defer x.t.tokens.delete(id) // after the walk, which must not see the tree change
		}
	}
	if _, ok := x.t.tokens.get(op.GetToken().GetId()); ok {
		return nil, fmt.Errorf("%w: token %s", ErrExists, op.GetToken().GetId())
	}
	x.t.tokens.put(op.GetToken().GetId(), op.GetToken())
	return op.GetToken(), nil
}

func (x *txn) deleteToken(op *statev1.DeleteToken) (proto.Message, error) {
	token, ok := x.t.tokens.get(op.GetId())
	if !ok {
		return nil, fmt.Errorf("%w: token %q", ErrNotFound, op.GetId())
	}
	x.t.tokens.delete(op.GetId())
	return token, nil
}

// redeemToken is where single use is decided: of two who present a token, the log lets one in.
func (x *txn) redeemToken(op *statev1.RedeemToken) (proto.Message, error) {
	token, err := x.redeemable(op)
	if err != nil {
		return nil, err
	}
	if member := op.GetMember(); member != nil {
		if other, taken := x.t.member(member.GetName()); taken {
			return nil, fmt.Errorf("%w: node name %q belongs to member %s: choose another, or remove that member first", ErrExists, member.GetName(), other.GetId())
		}
		if _, revoked := x.t.revoked.get(member.GetId()); revoked {
			return nil, fmt.Errorf("%w: node id %s was removed from this cluster", ErrRefused, member.GetId())
		}
		x.putMember(edit(member))
		if member.GetRole() == novacronv1.Role_ROLE_AGENT {
			x.putHost(&statev1.HostRecord{Id: member.GetId(), State: novacronv1.HostState_HOST_STATE_JOINING})
		}
	}
	used := edit(token)
	used.Used, used.UsedBy = true, op.GetUsedBy()
	x.t.tokens.put(used.GetId(), used)
	return used, nil
}

func (x *txn) redeemable(op *statev1.RedeemToken) (*statev1.TokenRecord, error) {
	token, ok := x.t.tokens.get(op.GetTokenId())
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: join token %q: ask for a new one", ErrNotFound, op.GetTokenId())
	case subtle.ConstantTimeCompare(token.GetSecretHash(), op.GetSecretHash()) != 1:
		return nil, fmt.Errorf("%w: the secret of join token %s is wrong", ErrRefused, token.GetId())
	case token.GetUsed():
		return nil, fmt.Errorf("%w: join token %s was used by %s: each works once, ask for a new one", ErrRefused, token.GetId(), token.GetUsedBy())
	case token.GetExpireTime().AsTime().Before(x.now.AsTime()):
		return nil, fmt.Errorf("%w: join token %s expired at %s: ask for a new one", ErrRefused, token.GetId(), token.GetExpireTime().AsTime().Format(time.RFC3339))
	case token.GetNodeName() != "" && token.GetNodeName() != op.GetNodeName():
		return nil, fmt.Errorf("%w: join token %s is for node %q, not %q", ErrRefused, token.GetId(), token.GetNodeName(), op.GetNodeName())
	case op.GetMember() != nil && op.GetMember().GetRole() != token.GetRole():
		return nil, fmt.Errorf("%w: join token %s is for role %s", ErrRefused, token.GetId(), token.GetRole())
	}
	return token, nil
}
