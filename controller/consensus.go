package controller

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/cluster/consensus"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/vm"
)

// Who guesses join tokens is slowed down after joinFailures within joinWindow; joinRemotes bounds the memory of it.
const (
	joinFailures = 5
	joinWindow   = time.Minute
	joinRemotes  = 4096
)

// raftHandshake bounds the TLS handshake of a Raft connection.
const raftHandshake = 5 * time.Second

// openConsensus listens with a certificate check that lets only controllers in.
func (d *daemon) openConsensus(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.cfg.Node.Raft)
	if err != nil {
		return err
	}
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: raftHandshake}, Config: d.creds.ClientTLS(pki.RoleController)}
	d.raft, err = consensus.Open(consensus.Config{
		ID: d.cfg.Node.NodeID, AdvertiseAddr: d.cfg.Node.Raft, DataDir: d.cfg.Node.RaftDir(),
		Listener: tls.NewListener(listener, d.creds.PeerTLS(pki.RoleController)),
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		},
		Timing: d.cfg.Timing, OnStall: d.stalled, Logger: d.logger,
		OnFatal: func(err error) {
			select {
			case d.fatal <- err:
			default: // one reason to stop is enough
			}
		},
	}, machine{d.store})
	if err != nil {
		return err
	}
	d.closers.Add(d.raft.Close)
	return nil
}

// stalled hangs up on everyone before the process is ended: threads that wait for the disk outlive the order to exit, and
// would keep the API's port open with nobody behind it.
func (d *daemon) stalled(op string, lasted time.Duration) {
	if server := d.hangUp.Load(); server != nil {
		_ = server.Close() // the process ends whatever it says
	}
	if d.cfg.OnStall != nil {
		d.cfg.OnStall(op, lasted)
	}
}

// bootstrap makes the first controller of a new cluster its only voter. It is a no-op ever after.
func (d *daemon) bootstrap(context.Context) error {
	if !d.cfg.Node.Bootstrap {
		return nil
	}
	err := d.raft.Bootstrap([]consensus.Server{{ID: d.cfg.Node.NodeID, Addr: d.cfg.Node.Raft, Voter: true}})
	if errors.Is(err, consensus.ErrBootstrapped) {
		return nil
	}
	return err
}

// found gives a new cluster its id and its first member, once somebody leads.
func (d *daemon) found(ctx context.Context) error {
	command, err := proto.Marshal(&statev1.Command{
		Version: state.Version, Time: timestamppb.Now(), Actor: "controller/" + d.cfg.Node.Name,
		Op: &statev1.Command_InitCluster{InitCluster: &statev1.InitCluster{ClusterId: d.cfg.Node.ClusterID, Member: &novacronv1.Member{
			Id: d.cfg.Node.NodeID, Name: d.cfg.Node.Name, Role: novacronv1.Role_ROLE_CONTROLLER, Voter: true, JoinTime: timestamppb.Now(),
			ApiAddress: d.cfg.Node.API, RaftAddress: d.cfg.Node.Raft, GossipAddress: d.cfg.Node.Gossip,
		}}},
	})
	if err != nil {
		return err
	}
	result, _, err := d.raft.Propose(ctx, command)
	if err != nil {
		return err
	}
	if refused := result.(state.Result).Err; !errors.Is(refused, state.ErrExists) {
		return refused
	}
	return nil
}

func newMAC() string {
	mac, err := vm.NewMAC(rand.Reader)
	if err != nil {
		panic(err) // the system's randomness never fails: Go itself ends the process when it does
	}
	return mac
}
