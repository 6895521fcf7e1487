package federate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// relayFrom is from how many shards on relays ask. Each call takes the controller about as much as a small answer is worth:
// there they come to more than a tenth of what all hosts compute. With fewer hosts the second hop is not worth it.
const relayFrom = 64

// Relayer is a Directory that can have shards ask others, so that few calls are about many of them.
type Relayer interface {
	// Relays groups members, each about which one shard can be asked; rest are those that have to be asked directly.
	Relays(members []Member) (groups []Relay, rest []Member)
}

// Relay asks the shards of some members by way of one.
type Relay interface {
	Members() []Member
	// Ask returns when it has told all that it hears. An error says that the relay has failed.
	Ask(ctx context.Context, e Evaluation, tell Told) error
	// Distrust says that the relay kept back what a shard has told at once when it was asked itself.
	Distrust()
}

// Told is what a relay tells, by the place of a member in Members, in one goroutine.
type Told struct {
	// Alive says that the relay is there, also where it waits.
	Alive func()
	// Context is to Hold with what the answer of a member takes.
	Context func(i int) context.Context
	// Answer is that of a member, or why there is none, once for each.
	Answer func(i int, p Partial, err error)
}

// eachRelayed has members evaluate, by way of relays where they are many. Who does not answer that way is asked directly:
// at once where the relay fails, or fails to reach it, and by a second request, as they are allowed, where it is silent.
func eachRelayed(ctx context.Context, f *Fleet, members []Member, e Evaluation, take func(Member, Partial) error) (*MissingError, error) {
	ask := func(ctx context.Context, m Member) (Partial, error) { return m.Shard.Evaluate(ctx, e) }
	relayer, can := f.directory.(Relayer)
	if !can || !f.opts.relays(len(members)) {
		return each(ctx, f.opts, members, ask, take)
	}
	q, cancel := newInquiry(ctx, f.opts, ask, take)
	defer cancel()
	groups, rest := relayer.Relays(members)
	f.relayed.calls.Add(int64(len(groups)))
	bounds := newDirectBounds(f.opts, len(members))
	var calls sync.WaitGroup
	for _, group := range groups {
		calls.Go(func() { newRelayed(q, group, bounds, f.relayed).run(e) })
	}
	q.all(rest)
	calls.Wait()
	return q.finish(members)
}

// owedShare is how many members of a question are asked directly whatever second requests are left: one of four. So the hosts
// behind a few relays that keep answers back are not missing, and a cluster that is slow as a whole is not asked twice.
const owedShare = 4

// directBounds bound the direct questions of all groups together.
type directBounds struct {
	slots chan struct{} // those at one time
	owed  *atomic.Int64 // how many more are made for members that have been kept for half of the time
}

func newDirectBounds(o Options, members int) directBounds {
	b := directBounds{make(chan struct{}, o.Concurrent), &atomic.Int64{}}
	b.owed.Store(int64(members / owedShare))
	return b
}

// relayed is a question to the members of one group.
type relayed struct {
	*inquiry[Partial]
	relay   Relay
	members []Member
	bounds  directBounds
	counts  *relayCounts
	direct  sync.WaitGroup

	mu    sync.Mutex
	of    []relayedMember
	began time.Time
	heard time.Time   // from the relay, the last time
	left  int         // how many members have not been delivered
	kept  bool        // whether one that was owed has answered directly first
	stop  func(error) // ends the call of the relay
	timer *time.Timer // looks after the relay; nil once it has nothing more to tell
}

// relayedMember is how far a member is.
type relayedMember struct {
	share  *share // of what has arrived by the relay
	direct bool   // whether it was asked directly
	end    func() // ends that question; nil where there is none
	owed   bool   // whether it was asked because its relay had kept it for half of the time
	done   bool
	failed error
}

// ErrSilentRelay is why a relay is given up.
var ErrSilentRelay = errors.New("the relay is silent")

func newRelayed(q *inquiry[Partial], relay Relay, bounds directBounds, counts *relayCounts) *relayed {
	members := relay.Members()
	now := time.Now()
	return &relayed{
		inquiry: q, relay: relay, members: members, bounds: bounds, counts: counts,
		of: make([]relayedMember, len(members)), began: now, heard: now, left: len(members),
	}
}

// run returns when each member has answered, or is missing. The time of all requests is bounded together.
func (r *relayed) run(e Evaluation) {
	if r.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeoutCause(r.ctx, r.o.Timeout, fmt.Errorf("no answer within %s", r.o.Timeout))
	defer cancel()
	err := r.hear(ctx, e)
	for i := range r.members {
		r.again(ctx, i, err)
	}
	r.direct.Wait()
	if r.kept {
		r.relay.Distrust()
	}
	for i, m := range r.members {
		r.give(i, func(of *relayedMember) { r.deliver(m, Partial{}, why(ctx, of.failed)) })
	}
}

// why is the reason for which a member is missing.
func why(ctx context.Context, failed error) error {
	switch {
	case failed != nil:
		return failed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return errUntold
}

// errUntold is that a relay has ended well, and has not told of all.
var errUntold = errors.New("the relay has not told its answer")

// hear asks the relay, for as long as it is heard of.
func (r *relayed) hear(ctx context.Context, e Evaluation) error {
	call, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.look(ctx, stop)
	err := guarded(Member{Name: "that relays"}, func() error {
		return r.relay.Ask(call, e, Told{Alive: r.alive, Context: r.context, Answer: func(i int, p Partial, err error) { r.answered(ctx, i, p, err) }})
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer.Stop()
	r.timer = nil
	if errors.Is(context.Cause(call), ErrSilentRelay) {
		return ErrSilentRelay
	}
	return err
}

// look has the relay looked after, and stopped when there is a reason.
func (r *relayed) look(ctx context.Context, stop func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop = stop
	r.timer = time.AfterFunc(r.o.HedgeAfter, func() { r.after(ctx) })
}

// after is when some time has passed: a relay that is silent is given up. Where it waits itself, those that it waits for are
// asked a second time, if that is allowed, and more of them once half of the time is over: that they are missing is not for a
// relay to say. It goes on meanwhile, since hosts that take long answer it first.
func (r *relayed) after(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer == nil {
		return
	}
	silent, until := time.Since(r.heard), time.Until(r.began.Add(r.o.Timeout/2))
	late := until <= 0
	switch {
	case r.left == 0:
		r.stop(nil)
		return
	case silent >= r.o.HedgeAfter:
		r.stop(ErrSilentRelay)
		return
	}
	next := r.o.HedgeAfter - silent
	if !late {
		next = min(next, until)
	}
	r.timer.Reset(next)
	for i := range r.of {
		if of := &r.of[i]; !of.done && !of.direct && (late && r.bounds.owe() || r.o.extra.take()) {
			of.owed = late
			r.directly(ctx, i, func(ctx context.Context) (Partial, error) { return r.once(ctx, r.members[i]) })
		}
	}
}

// owe tells whether one more member may be asked without a second request that is left.
func (b directBounds) owe() bool { return b.owed.Add(-1) >= 0 }

func (r *relayed) alive() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = time.Now()
}

// context is that of a member's answer by the relay.
func (r *relayed) context(i int) context.Context {
	ctx, share := r.held.share(r.ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[i].share = share
	return ctx
}

// answered is what a member says by the relay. A failure of it may be the relay's own.
func (r *relayed) answered(ctx context.Context, i int, p Partial, err error) {
	r.alive()
	if !final(err) {
		r.again(ctx, i, err)
		return
	}
	r.counts.answers.Add(1)
	r.give(i, func(*relayedMember) {
		r.o.extra.earn()
		r.deliver(r.members[i], p, err)
	})
}

// again asks a member directly that the relay gives no answer of.
func (r *relayed) again(ctx context.Context, i int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := &r.of[i]
	of.drop()
	if of.done {
		return
	}
	if of.failed == nil {
		of.failed = err
	}
	if of.direct || ctx.Err() != nil {
		return
	}
	r.directly(ctx, i, func(ctx context.Context) (Partial, error) {
		return hedged(ctx, r.o, func(ctx context.Context) (Partial, error) { return r.once(ctx, r.members[i]) })
	})
}

// directly has a member asked beside, until it is known. The lock is held.
func (r *relayed) directly(ctx context.Context, i int, ask func(context.Context) (Partial, error)) {
	ctx, end := context.WithCancel(ctx)
	r.of[i].direct, r.of[i].end = true, end
	r.counts.direct.Add(1)
	r.direct.Go(func() {
		defer end()
		select {
		case r.bounds.slots <- struct{}{}:
			defer func() { <-r.bounds.slots }()
		case <-ctx.Done():
			return
		}
		ctx, share := r.held.share(ctx)
		defer share.release()
		p, err := ask(ctx)
		first := final(err) && r.give(i, func(*relayedMember) { r.deliver(r.members[i], p, err) })
		r.mu.Lock()
		defer r.mu.Unlock()
		r.kept = r.kept || first && r.of[i].owed
		if r.of[i].failed = err; r.left == 0 {
			r.stop(nil) // nobody waits for the relay any more
		}
	})
}

// give delivers what is known of a member, the first time, and tells whether this is.
func (r *relayed) give(i int, deliver func(*relayedMember)) (first bool) {
	r.mu.Lock()
	of := &r.of[i]
	done := of.done
	if of.done = true; of.end != nil {
		of.end() // of two questions one has lost
	}
	r.mu.Unlock()
	if !done {
		deliver(of)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if of.drop(); !done {
		r.left--
	}
	return !done
}

// drop gives back what was held of an answer.
func (of *relayedMember) drop() {
	if of.share != nil {
		of.share.release()
		of.share = nil
	}
}
