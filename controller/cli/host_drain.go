package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

// drainPoll is how often a host is looked at while it is being emptied.
const drainPoll = 500 * time.Millisecond

func (a *app) hostDrain() *cobra.Command {
	var w waitFlags
	var plan, yes bool
	cmd := &cobra.Command{
		Use: "drain HOST", Short: "Empty a host", Args: cobra.ExactArgs(1),
		Long: `Place no more machines on a host, and do with those on it what their evacuation policies say: migrate and restart stop a
machine and make it anew on another host, where nothing of it exists on this host alone; stop stops it where it is; never
leaves it. Nobody starts a machine elsewhere before this host has said that it is gone here. What stays is told with the
reason. Asks first; a script must say --yes.

  novacron host drain kvm-1 --plan
  novacron host drain kvm-1 --yes`,
		ValidArgsFunction: a.completeOnce(a.hostNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			steps, err := c.planDrain(ctx, args[0])
			if err != nil || plan {
				return firstError(err, func() error { return list(a, drainTable(), steps) })
			}
			if err := a.confirm(yes, "Empty host "+args[0]+": "+drainSummary(steps)+"?"); err != nil {
				return err
			}
			answer, err := c.hosts.DrainHost(ctx, connect.NewRequest(&pb.DrainHostRequest{Host: args[0]}))
			if err != nil {
				return err
			}
			return a.settleDrain(ctx, c, args[0], answer.Msg.GetSteps(), &w)
		}),
	}
	cmd.Flags().BoolVar(&plan, "plan", false, "show what would become of each machine, and do nothing")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	w.register(cmd.Flags())
	return cmd
}

func (a *app) hostUndrain() *cobra.Command {
	return &cobra.Command{
		Use: "undrain HOST", Short: "Use a host again", Args: cobra.ExactArgs(1),
		Long:              "End the emptying of a host: machines may be placed on it again. What was stopped or moved stays so.\n\n  novacron host undrain kvm-1",
		ValidArgsFunction: a.completeOnce(a.hostNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			answer, err := c.hosts.DrainHost(ctx, connect.NewRequest(&pb.DrainHostRequest{Host: args[0], Cancel: true}))
			if err == nil {
				a.tell("%s: in use again", answer.Msg.GetHost().GetName())
			}
			return err
		}),
	}
}

func firstError(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

func (c *client) planDrain(ctx context.Context, host string) ([]*pb.DrainStep, error) {
	answer, err := c.hosts.PlanDrain(ctx, connect.NewRequest(&pb.PlanDrainRequest{Host: host}))
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetSteps(), nil
}

// settleDrain waits until all that shall move or stop has, then tells what is left.
func (a *app) settleDrain(ctx context.Context, c *client, host string, steps []*pb.DrainStep, w *waitFlags) error {
	if w.no {
		return list(a, drainTable(), steps)
	}
	steps, err := a.awaitDrain(ctx, c, host, steps, w.timeout)
	if err != nil {
		return err
	}
	a.tell("%s: %s", host, drainSummary(steps))
	return list(a, drainTable(), steps)
}

func (a *app) awaitDrain(ctx context.Context, c *client, host string, steps []*pb.DrainStep, limit time.Duration) ([]*pb.DrainStep, error) {
	p := a.newProgress()
	defer p.stop()
	waiting, cancel := withLimit(ctx, limit, errWaited)
	defer cancel()
	ticker := time.NewTicker(drainPoll)
	defer ticker.Stop()
	for goes(steps) > 0 {
		p.set(host + ": " + drainSummary(steps))
		select {
		case <-waiting.Done():
			return nil, fmt.Errorf("%s: not empty after %s, %s: %w", host, limit, drainSummary(steps), context.Cause(waiting))
		case <-ticker.C:
		}
		var err error
		if steps, err = c.planDrain(waiting, host); err != nil {
			return nil, err
		}
	}
	return steps, nil
}

// goes counts the machines that are yet to move or stop.
func goes(steps []*pb.DrainStep) int {
	return countSteps(steps, pb.DrainAction_DRAIN_ACTION_MOVE) + countSteps(steps, pb.DrainAction_DRAIN_ACTION_STOP)
}

func countSteps(steps []*pb.DrainStep, action pb.DrainAction) (n int) {
	for _, step := range steps {
		if step.GetAction() == action {
			n++
		}
	}
	return n
}

// drainSummary is such as «1 to move, 2 to stop, 3 stay», or that nothing is left.
func drainSummary(steps []*pb.DrainStep) string {
	var parts []string
	for _, part := range []struct {
		action pb.DrainAction
		format string
	}{{pb.DrainAction_DRAIN_ACTION_MOVE, "%d to move"}, {pb.DrainAction_DRAIN_ACTION_STOP, "%d to stop"}, {pb.DrainAction_DRAIN_ACTION_STAY, "%d stay"}} {
		if n := countSteps(steps, part.action); n > 0 {
			parts = append(parts, fmt.Sprintf(part.format, n))
		}
	}
	if len(parts) == 0 {
		return "no machine is on it"
	}
	return strings.Join(parts, ", ")
}

func drainTable() table[*pb.DrainStep] {
	type step = *pb.DrainStep
	return table[step]{plural: "virtual machines on the host", columns: []column[step]{
		{name: "VM", text: func(s step) string { return s.GetVmName() }},
		{name: "PROJECT", where: wideAndCSV, text: func(s step) string { return s.GetProject() }},
		{name: "POLICY", text: func(s step) string { return s.GetPolicy() }},
		{name: "ACTION", text: func(s step) string { return word(s.GetAction(), "DRAIN_ACTION_") }},
		{name: "TO", text: func(s step) string { return s.GetToHost() }},
		{name: "STATE", text: func(s step) string { return map[bool]string{true: "under way"}[s.GetUnderWay()] }},
		{name: "WHY", text: func(s step) string { return s.GetWhy() }},
	}}
}

// hostStateText is a host's state as people read it.
func hostStateText(h *pb.Host) string {
	text := word(h.GetState(), "HOST_STATE_")
	if h.GetDraining() {
		text += ", draining"
	}
	return text
}
