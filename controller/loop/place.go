package loop

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/novacron/novacron/controller/placing"
	"github.com/novacron/novacron/controller/sched"
	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

const (
	// placeBatch bounds the bindings of one command.
	placeBatch = 256
	// placeAnyway is how often unplaced machines are looked at without a change that calls for it.
	placeAnyway = 10 * time.Second
)

// Placer gives unplaced virtual machines to hosts.
type Placer struct {
	Store *state.Store
	Log   Proposer
	Now   func() time.Time
}

// Loop places whenever machines or hosts change.
func (p *Placer) Loop() Loop { return Loop{Name: "place", Run: p.run} }

func (p *Placer) run(ctx context.Context) error {
	for {
		view := p.Store.View()
		if err := p.place(ctx, view); err != nil {
			return err
		}
		if err := p.await(ctx, view.Cursor()); err != nil {
			return err
		}
	}
}

// await returns when something changed that placing depends on, or after a while.
func (p *Placer) await(ctx context.Context, cursor state.Cursor) error {
	wait, cancel := context.WithTimeout(ctx, placeAnyway)
	defer cancel()
	for {
		changes, next, err := p.Store.Next(wait, cursor)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, state.ErrCompacted):
			return nil
		case err != nil:
			return err
		case calls(changes):
			return nil
		}
		cursor = next
	}
}

// calls tells whether changes may place a machine that was unplaced before: a new one, one that left its host, a new wish,
// which makes a plan under way stale, room that became free, or a host.
func calls(changes []state.Change) bool {
	for _, change := range changes {
		switch record := change.Record().(type) {
		case *novacronv1.VM:
			before, existed := change.Before.(*novacronv1.VM)
			unplaced := record.GetHostId() == "" && (record.GetGeneration() != before.GetGeneration() || before.GetHostId() != "")
			if change.After == nil || !existed || unplaced {
				return true
			}
		case *statev1.HostRecord:
			if record.GetState() == novacronv1.HostState_HOST_STATE_UP {
				return true
			}
		}
	}
	return false
}

// place goes through all that wait: those that fit nowhere do not hold up the others.
func (p *Placer) place(ctx context.Context, view state.View) error {
	for waiting := range slices.Chunk(slices.Collect(view.Unplaced()), placeBatch) {
		if err := p.placeThese(ctx, p.Store.View(), waiting); err != nil { // with what the batch before took in account
			return err
		}
	}
	return nil
}

func (p *Placer) placeThese(ctx context.Context, view state.View, waiting []*novacronv1.VM) error {
	requests := make([]sched.Request, len(waiting))
	for i, vm := range waiting {
		requests[i] = placing.RequestOf(view, vm)
	}
	bind := &statev1.BindVMs{}
	for i, decision := range sched.Place(placing.HostsOf(view, requests), requests) {
		if decision.Host != "" {
			bind.Bindings = append(bind.Bindings, &statev1.Binding{VmId: decision.Request, HostId: decision.Host, VmRevision: waiting[i].GetRevision(),
				HostCpus: placing.HostCPUs(decision, &requests[i])})
			continue
		}
		if err := p.refuse(ctx, waiting[i], decision.Refusal.String()); err != nil {
			return err
		}
	}
	if len(bind.GetBindings()) == 0 {
		return nil
	}
	return commit(ctx, p.Log, "loop/place", p.Now(), func(c *statev1.Command) { c.Op = &statev1.Command_BindVms{BindVms: bind} })
}

// refuse records why a machine fits nowhere, once.
func (p *Placer) refuse(ctx context.Context, vm *novacronv1.VM, why string) error {
	if vm.GetStatus().GetMessage() == why {
		return nil
	}
	return commit(ctx, p.Log, "loop/place", p.Now(), func(c *statev1.Command) {
		c.Op = &statev1.Command_RefuseVm{RefuseVm: &statev1.RefuseVM{VmId: vm.GetId(), VmRevision: vm.GetRevision(), Message: why}}
	})
}
