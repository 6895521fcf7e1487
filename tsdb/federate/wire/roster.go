package wire

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate"
)

const (
	// summaryFresh is how long a shard's summary decides whether it is asked. With what the shard itself takes to see a
	// new series, one that is younger than about 15 s may be missed where no older one has such a label.
	summaryFresh = 10 * time.Second
	// summaryTimeout bounds the question for one.
	summaryTimeout = 5 * time.Second
	// messageMax bounds a message that is read.
	messageMax = 4 << 20
)

// Host is one that has a shard.
type Host struct {
	Name string
	// URL is that of its API.
	URL string
	// Down says that it cannot be reached: it is not called, and missing.
	Down bool
}

// Roster is the directory of the shards of hosts.
type Roster struct {
	// Hosts lists all that there should be.
	Hosts func() []Host
	// HTTP calls them.
	HTTP   connect.HTTPClient
	Logger *slog.Logger

	mu        sync.Mutex
	shards    map[string]shardOf // by URL: a client takes longer to make than to use
	summaries map[string]*summary
	turns     chan struct{} // bounds how many are asked for summaries at one time
}

var (
	_ federate.Directory = (*Roster)(nil)
	_ federate.Pruner    = (*Roster)(nil)
)

// summary is what is known of the labels of a shard.
type summary struct {
	federate.Summary
	at     time.Time
	asking chan struct{} // is closed when the question that is under way is answered; nil where there is none
	asked  time.Time     // the last time
	key    sealKey
	// badRelay is when it failed to ask others the last time, or kept back what they answer.
	badRelay time.Time
	// unrelayed is when another failed to pass its answer on the last time.
	unrelayed time.Time
}

// Members are the shards by the names of their hosts.
func (r *Roster) Members() []federate.Member {
	hosts := r.Hosts()
	all := make([]federate.Member, 0, len(hosts))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(hosts)
	for _, host := range hosts {
		member := federate.Member{Name: host.Name, Shard: down{errDown}}
		if !host.Down {
			member.Shard = r.shard(host.URL)
		}
		all = append(all, member)
	}
	slices.SortFunc(all, func(a, b federate.Member) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// shard is that at a URL; one of which it is none is missing. The lock is held.
func (r *Roster) shard(url string) federate.Shard {
	if shard, known := r.shards[url]; known {
		return shard
	}
	client, err := NewClient(r.HTTP, url)
	if err != nil {
		return down{err}
	}
	if r.shards == nil {
		r.shards = map[string]shardOf{}
	}
	shard := shardOf{client, url}
	r.shards[url] = shard
	return shard
}

// maxForgotten is how many shards may be known beyond those of the hosts that there are.
const maxForgotten = 64

// forget drops what is known of shards that are gone, now and then. The lock is held.
func (r *Roster) forget(hosts []Host) {
	if max(len(r.shards), len(r.summaries)) <= len(hosts)+maxForgotten {
		return
	}
	there := make(map[string]bool, len(hosts))
	for _, host := range hosts {
		there[host.URL] = true
	}
	maps.DeleteFunc(r.shards, func(url string, _ shardOf) bool { return !there[url] })
	maps.DeleteFunc(r.summaries, func(url string, _ *summary) bool { return !there[url] })
}

// shardOf is a shard that knows where it is.
type shardOf struct {
	Client
	url string
}

// MayHave goes by the shard's last summary. Where that is old it is asked for beside, and the shard is asked meanwhile.
func (r *Roster) MayHave(member federate.Member, matchers []*labels.Matcher) bool {
	shard, up := member.Shard.(shardOf)
	if !up {
		return true // what is missing is told
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.summary(shard.url)
	if time.Since(s.at) <= summaryFresh {
		return s.Version == 0 || s.MayHave(matchers)
	}
	if time.Since(s.asked) > summaryFresh { // one that fails is not asked by every query
		r.ask(shard, s)
	}
	return true
}

// summary is what is known of a shard. The lock is held.
func (r *Roster) summary(url string) *summary {
	if r.summaries == nil {
		r.summaries = map[string]*summary{}
	}
	if r.summaries[url] == nil {
		r.summaries[url] = &summary{}
	}
	return r.summaries[url]
}

// ask has a summary made fresh beside. The lock is held.
func (r *Roster) ask(shard shardOf, s *summary) {
	if r.turns == nil {
		r.turns = make(chan struct{}, knownAtOnce)
	}
	if s.asking == nil {
		s.asking, s.asked = make(chan struct{}), time.Now()
		go r.refresh(shard, s, s.Version)
	}
}

// refresh asks for a summary, once at a time for each shard, when it has its turn.
func (r *Roster) refresh(shard shardOf, s *summary, known uint64) {
	r.turns <- struct{}{}
	defer func() { <-r.turns }()
	ctx, cancel := context.WithTimeout(context.Background(), summaryTimeout)
	defer cancel()
	began := time.Now()
	next, key, err := shard.summarize(ctx, known)
	r.mu.Lock()
	defer r.mu.Unlock()
	close(s.asking)
	s.asking = nil
	if err == nil {
		s.key = key
	}
	switch {
	case err != nil:
		s.at = time.Time{} // it may be gone
		r.Logger.Debug("a shard does not tell its labels; it is asked for everything", "shard", shard.url, "error", err)
	case next.Labels != nil || next.Version == 0:
		s.Summary, s.at = next, began
	default:
		s.Known, s.at = next.Known, began // the labels still hold
	}
}

// errDown is why a shard is missing without having been called.
var errDown = errors.New("the host is down")

// down is the shard of a host that cannot be called.
type down struct{ why error }

func (d down) Evaluate(context.Context, federate.Evaluation) (federate.Partial, error) {
	return federate.Partial{}, d.why
}

func (d down) Select(context.Context, engine.Selection) (engine.SeriesSet, error) { return nil, d.why }

func (d down) LabelNames(context.Context, int64, int64, int, ...*labels.Matcher) ([]string, error) {
	return nil, d.why
}

func (d down) LabelValues(context.Context, string, int64, int64, int, ...*labels.Matcher) ([]string, error) {
	return nil, d.why
}

func (d down) Exemplars(context.Context, int64, int64, ...*labels.Matcher) ([]engine.SeriesExemplars, error) {
	return nil, d.why
}
