package env

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/pki"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// pollEvery is how often a condition is looked at.
const pollEvery = 20 * time.Millisecond

// WaitFor looks at a condition until it gives no error, or until the context ends.
func WaitFor(ctx context.Context, what string, condition func(ctx context.Context) error) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, errors.Join(ctx.Err(), err))
		case <-ticker.C:
		}
	}
}

// Settle waits until every controller that runs votes, one leads, and every host whose agent runs is up.
func (c *Cluster) Settle(ctx context.Context) error {
	return WaitFor(ctx, "the cluster to settle", c.settled)
}

func (c *Cluster) settled(ctx context.Context) error {
	leader, err := c.Leader(ctx)
	if err != nil {
		return err
	}
	admin, err := c.Admin(leader.Name)
	if err != nil {
		return err
	}
	defer admin.HTTP.CloseIdleConnections()
	if err := c.votersSettled(ctx, admin); err != nil {
		return err
	}
	return c.hostsSettled(ctx, admin)
}

func (c *Cluster) votersSettled(ctx context.Context, admin *Client) error {
	answer, err := admin.Cluster.ListMembers(ctx, connect.NewRequest(&novacronv1.ListMembersRequest{}))
	if err != nil {
		return err
	}
	raft := map[string]string{}
	for _, member := range answer.Msg.GetMembers() {
		raft[member.GetMember().GetName()] = member.GetRaft()
	}
	for _, member := range c.Members(pki.RoleController) {
		if role := raft[member.Name]; member.Running() && role != "voter" && role != "leader" {
			return fmt.Errorf("%s is %q in the quorum", member.Name, role)
		}
	}
	return nil
}

func (c *Cluster) hostsSettled(ctx context.Context, admin *Client) error {
	for _, member := range c.Members(pki.RoleAgent) {
		if !member.Running() {
			continue
		}
		answer, err := admin.Hosts.GetHost(ctx, connect.NewRequest(&novacronv1.GetHostRequest{Host: member.Name}))
		if err != nil {
			return err
		}
		if state := answer.Msg.GetHost().GetState(); state != novacronv1.HostState_HOST_STATE_UP {
			return fmt.Errorf("%s is %s", member.Name, state)
		}
	}
	return nil
}
