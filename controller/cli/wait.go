package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/pflag"
)

// waitFlags say how long to wait for a change.
type waitFlags struct {
	no             bool
	timeout, grace time.Duration
}

func (w *waitFlags) register(fs *pflag.FlagSet) {
	fs.BoolVar(&w.no, "no-wait", false, "print the operation's id instead of waiting for its end")
	spanVar(fs, &w.timeout, "wait-timeout", 10*time.Minute, "how long to wait for the end")
}

// registerGrace is for changes that may need a host first.
func (w *waitFlags) registerGrace(fs *pflag.FlagSet) {
	spanVar(fs, &w.grace, "grace", 10*time.Second, "how long a machine may look for a host before this gives up waiting")
}

// errWaited is the cause of a wait that took too long.
var errWaited = errors.New("wait timeout")

// settle waits for the latest operations of machines and tells how they ended.
func (a *app) settle(ctx context.Context, c *client, vms []*pb.VM, w *waitFlags) error {
	var failures []error
	var ended []*pb.VM
	for _, vm := range vms {
		last, err := a.settleOne(ctx, c, vm, w)
		if err != nil {
			failures = append(failures, err)
		}
		ended = append(ended, last)
	}
	return both(joined(failures), a.printSettled(ended))
}

func (a *app) settleOne(ctx context.Context, c *client, vm *pb.VM, w *waitFlags) (*pb.VM, error) {
	if w.no {
		a.tell("%s", vm.GetOperation().GetId())
		return vm, nil
	}
	g := newGoal(vm, w.grace)
	last, err := a.wait(ctx, c, g, vm, w.timeout)
	if err != nil {
		return last, err
	}
	a.tell("%s", g.farewell(last))
	return last, nil
}

// printSettled gives machines the objects; people have read of each already.
func (a *app) printSettled(vms []*pb.VM) error {
	switch {
	case a.forPeople() || len(vms) == 0:
		return nil
	case len(vms) == 1:
		return show(a, a.vmTable(), vms[0], details{})
	}
	return list(a, a.vmTable(), vms)
}

// wait follows a machine until its operation has ended, one way or another. It answers the machine as it was last.
func (a *app) wait(ctx context.Context, c *client, g *goal, vm *pb.VM, limit time.Duration) (*pb.VM, error) {
	p := a.newProgress()
	defer p.stop()
	waiting, cancel := withLimit(ctx, limit, errWaited)
	defer cancel()
	changes := c.follow(waiting, &pb.WatchVMsRequest{Vm: vm.GetId(), Project: vm.GetSpec().GetProject(), SinceRevision: vm.GetRevision()})
	for {
		done, err := g.judge(vm)
		if done || err != nil {
			return vm, err
		}
		p.set(vm.GetSpec().GetName() + ": " + stateOf(vm))
		select {
		case next := <-changes:
			if next.gone() {
				return vm, g.afterGone()
			}
			if next.err != nil {
				return vm, g.interrupted(waiting, vm, limit, next.err)
			}
			vm = next.vm(vm)
		case <-g.patience(vm):
			return vm, g.unplaced(vm)
		case <-waiting.Done():
			return vm, g.interrupted(waiting, vm, limit, waiting.Err())
		}
	}
}

// withLimit ends a context with a cause. Unlike a deadline, the limit is not told to the servers, which might end a stream
// a moment before we know why.
func withLimit(ctx context.Context, limit time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(cause) })
	return ctx, func() {
		timer.Stop()
		cancel(context.Canceled)
	}
}

// change is one message of a watch, or its end.
type change struct {
	msg *pb.WatchVMsResponse
	err error
}

// gone reports whether the machine is no more.
func (c change) gone() bool {
	return c.msg.GetDeleted() || connect.CodeOf(c.err) == connect.CodeNotFound
}

// vm is the machine as the change left it.
func (c change) vm(before *pb.VM) *pb.VM {
	if c.msg.GetVm() != nil {
		return c.msg.GetVm()
	}
	return before // a heartbeat
}

// follow watches in the background until ctx ends; the last change holds the error.
func (c *client) follow(ctx context.Context, req *pb.WatchVMsRequest) <-chan change {
	changes := make(chan change)
	send := func(next change) error {
		select {
		case changes <- next:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	go func() {
		err := c.watch(ctx, req, func(msg *pb.WatchVMsResponse) error { return send(change{msg: msg}) })
		_ = send(change{err: err}) // nobody waits for it any more when ctx has ended
	}()
	return changes
}

// interrupted tells a wait that ended early: the operation goes on without us.
func (g *goal) interrupted(ctx context.Context, vm *pb.VM, limit time.Duration, err error) error {
	f := &fault{
		what:    fmt.Sprintf("%s: stopped waiting: %s", g.name, stateOf(vm)),
		details: []string{fmt.Sprintf("operation %s goes on in the background", g.operation)},
		hint:    fmt.Sprintf("`novacron vm watch %s` follows it", g.name),
		cause:   err,
	}
	switch {
	case errors.Is(context.Cause(ctx), errWaited):
		f.what = fmt.Sprintf("%s: not done after %s: %s", g.name, formatDuration(limit), stateOf(vm))
		f.hint += "; --wait-timeout waits longer"
	case !errors.Is(err, context.Canceled):
		lost := explain(err)
		f.details = append(append([]string{lost.what}, lost.details...), f.details...)
	}
	return f
}

// both joins the errors of two halves of one command.
func both(first, second error) error {
	var errs []error
	for _, err := range []error{first, second} {
		if parts, ok := errors.AsType[several](err); ok {
			errs = append(errs, parts...)
		} else if err != nil {
			errs = append(errs, err)
		}
	}
	return joined(errs)
}
