package federate

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
)

// Trace collects what a query did. Contexts carry it to where that is done.
type Trace struct {
	mu    sync.Mutex
	hosts map[string]*HostTrace
	// open are the calls that are waited for; waited is how long there was one, the last time since began.
	open   map[*openCall]bool
	waited time.Duration
	began  time.Time
	cache  CacheUse
	again  string
}

// HostTrace is what a query did on one host.
type HostTrace struct {
	Name string
	// Calls counts questions, the Retries after an error and the Hedges after silence included.
	Calls, Retries, Hedges int
	// Elapsed is the time of all calls, also of those that ran at one time.
	Elapsed time.Duration
	// Samples and Series were read, Bytes came over the network.
	Samples, Series, Bytes int64
	// Error is that of the last call that failed, though another one may have been answered.
	Error string
}

// CacheUse is what the results cache did for a query.
type CacheUse struct {
	// Steps are the times that were asked for, Known those that the cache had.
	Steps, Known int
	// Not says why the cache was not used; empty where it was.
	Not string
}

type traceKey struct{}

// WithTrace has queries collect in a trace.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// traceOf is the trace of a context; nil where there is none. All its methods do nothing then.
func traceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

// Hosts are those that were asked, in the order of their names.
func (t *Trace) Hosts() []HostTrace {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endAll()
	all := make([]HostTrace, 0, len(t.hosts))
	for _, h := range t.hosts {
		all = append(all, *h)
	}
	slices.SortFunc(all, func(a, b HostTrace) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Waited is how long there was a host that had not answered yet.
func (t *Trace) Waited() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endAll()
	return t.waited
}

// Cache is what the cache did.
func (t *Trace) Cache() CacheUse {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cache
}

// Again says why raw series were read after the shards had computed; empty where they were not.
func (t *Trace) Again() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.again
}

func (t *Trace) used(c CacheUse) {
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.cache = c
	}
}

func (t *Trace) fellBack(why string) {
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.again = cmp.Or(t.again, why)
	}
}

// call notes that a host is asked, and returns what notes the end of it. A second call beside an open one is a hedge,
// one after an error a retry.
func (t *Trace) call(ctx context.Context, host string, of *tracedCalls) (done func(err error, read HostTrace)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.host(host)
	h.Calls++
	if of.open > 0 {
		h.Hedges++
	} else if of.failed {
		h.Retries++
	}
	of.open, of.failed = of.open+1, false
	c := &openCall{ctx, h, time.Now()}
	if len(t.open) == 0 {
		t.began, t.open = c.began, map[*openCall]bool{}
	}
	t.open[c] = true
	return func(err error, read HostTrace) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.end(c)
		of.open--
		h.Samples, h.Series, h.Bytes = h.Samples+read.Samples, h.Series+read.Series, h.Bytes+read.Bytes
		if err != nil && !errors.Is(context.Cause(ctx), context.Canceled) { // by then another call was answered
			h.Error, of.failed = err.Error(), true
		}
	}
}

// openCall is a call that is not answered yet.
type openCall struct {
	ctx   context.Context
	host  *HostTrace
	began time.Time
}

// end notes that a call is not waited for any more.
func (t *Trace) end(c *openCall) {
	if !t.open[c] {
		return
	}
	delete(t.open, c)
	c.host.Elapsed += time.Since(c.began)
	if len(t.open) == 0 {
		t.waited += time.Since(t.began)
	}
}

// endAll ends the calls that were given up, as those are whose hedge was answered.
func (t *Trace) endAll() {
	for c := range t.open {
		if c.ctx.Err() != nil {
			t.end(c)
		}
	}
}

func (t *Trace) host(name string) *HostTrace {
	if t.hosts == nil {
		t.hosts = map[string]*HostTrace{}
	}
	if t.hosts[name] == nil {
		t.hosts[name] = &HostTrace{Name: name}
	}
	return t.hosts[name]
}

// tracedCalls are the calls of one shard for one question.
type tracedCalls struct {
	open   int
	failed bool
}

// tracedDirectory has the shards of another directory noted.
type tracedDirectory struct {
	Directory
	trace *Trace
}

// Members wraps the shards anew for each question.
func (d tracedDirectory) Members() []Member {
	all := slices.Clone(d.Directory.Members())
	for i, m := range all {
		all[i].Shard = tracedShard{m.Shard, m.Name, d.trace, &tracedCalls{}}
	}
	return all
}

// MayHave asks the directory about its own shard.
func (d tracedDirectory) MayHave(m Member, matchers []*labels.Matcher) bool {
	pruner, knows := d.Directory.(Pruner)
	return !knows || pruner.MayHave(bare(m), matchers)
}

// Known asks the directory about its own shards.
func (d tracedDirectory) Known(ctx context.Context, members []Member) map[string]Known {
	knower, knows := d.Directory.(Knower)
	if !knows {
		return nil
	}
	return knower.Known(ctx, allBare(members))
}

// Lately asks the directory about its own shards.
func (d tracedDirectory) Lately(ctx context.Context, members []Member) map[string]Known {
	known, _ := lately(ctx, d.Directory, allBare(members))
	return known
}

func allBare(members []Member) []Member {
	own := make([]Member, len(members))
	for i, m := range members {
		own[i] = bare(m)
	}
	return own
}

func bare(m Member) Member {
	if traced, is := m.Shard.(tracedShard); is {
		m.Shard = traced.Shard
	}
	return m
}

type tracedShard struct {
	Shard
	name  string
	trace *Trace
	calls *tracedCalls
}

// Evaluate notes what it took.
func (s tracedShard) Evaluate(ctx context.Context, e Evaluation) (Partial, error) {
	done := s.trace.call(ctx, s.name, s.calls)
	p, err := s.Shard.Evaluate(ctx, e)
	done(err, HostTrace{Samples: p.Samples, Series: p.Series, Bytes: p.Bytes})
	return p, err
}

// counted is a set that knows how much it holds.
type counted interface {
	Count() (series, samples int64)
}

// Select notes what it took.
func (s tracedShard) Select(ctx context.Context, sel engine.Selection) (engine.SeriesSet, error) {
	done := s.trace.call(ctx, s.name, s.calls)
	set, err := s.Shard.Select(ctx, sel)
	read := HostTrace{}
	if c, is := set.(counted); is {
		read.Series, read.Samples = c.Count()
	}
	if c, is := set.(sized); is {
		read.Bytes = c.Size()
	}
	done(err, read)
	return set, err
}

// traced is the same fleet, noted in the trace of a context where there is one.
func (f *Fleet) traced(ctx context.Context) *Fleet {
	t := traceOf(ctx)
	if t == nil {
		return f
	}
	next := *f
	next.directory = tracedDirectory{f.directory, t}
	return &next
}
