package wire

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
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
	HTTP   *http.Client
	Logger *slog.Logger

	mu        sync.Mutex
	summaries map[string]*summary
}

var (
	_ federate.Directory = (*Roster)(nil)
	_ federate.Pruner    = (*Roster)(nil)
)

// summary is what is known of the labels of a shard.
type summary struct {
	federate.Summary
	at     time.Time
	asking bool
}

// Members are the shards by the names of their hosts.
func (r *Roster) Members() []federate.Member {
	var all []federate.Member
	for _, host := range r.Hosts() {
		member := federate.Member{Name: host.Name, Shard: down{}}
		if !host.Down {
			member.Shard = shardOf{r.client(host.URL), host.URL}
		}
		all = append(all, member)
	}
	slices.SortFunc(all, func(a, b federate.Member) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// shardOf is a shard that knows where it is.
type shardOf struct {
	Client
	url string
}

// client calls a shard. Answers are small or packed already: compressing them again costs more than it saves.
func (r *Roster) client(url string) Client {
	return Client{RPC: agentv1connect.NewShardServiceClient(r.HTTP, url, connect.WithReadMaxBytes(messageMax), connect.WithAcceptCompression("gzip", nil, nil))}
}

// MayHave goes by the shard's last summary. Where that is old it is asked for beside, and the shard is asked meanwhile.
func (r *Roster) MayHave(member federate.Member, matchers []*labels.Matcher) bool {
	shard, up := member.Shard.(shardOf)
	if !up {
		return true // what is missing is told
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.summaries[shard.url]
	if s == nil {
		if r.summaries == nil {
			r.summaries = map[string]*summary{}
		}
		s = &summary{}
		r.summaries[shard.url] = s
	}
	if time.Since(s.at) <= summaryFresh {
		return s.Version == 0 || s.MayHave(matchers)
	}
	if !s.asking {
		s.asking = true
		go r.refresh(shard, s, s.Version)
	}
	return true
}

// refresh asks for a summary, once at a time for each shard.
func (r *Roster) refresh(shard shardOf, s *summary, known uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), summaryTimeout)
	defer cancel()
	began := time.Now()
	next, err := shard.Summarize(ctx, known)
	r.mu.Lock()
	defer r.mu.Unlock()
	s.asking = false
	switch {
	case err != nil:
		r.Logger.Debug("a shard does not tell its labels; it is asked for everything", "shard", shard.url, "error", err)
	case next.Labels != nil || next.Version == 0:
		s.Summary, s.at = next, began
	default:
		s.at = began // it still holds
	}
}

// errDown is why a shard is missing without having been called.
var errDown = errors.New("the host is down")

// down is the shard of a host that is known to be.
type down struct{}

func (down) Evaluate(context.Context, federate.Evaluation) (federate.Partial, error) {
	return federate.Partial{}, errDown
}

func (down) Select(context.Context, engine.Selection) (engine.SeriesSet, error) { return nil, errDown }

func (down) LabelNames(context.Context, int64, int64, int, ...*labels.Matcher) ([]string, error) {
	return nil, errDown
}

func (down) LabelValues(context.Context, string, int64, int64, int, ...*labels.Matcher) ([]string, error) {
	return nil, errDown
}

func (down) Exemplars(context.Context, int64, int64, ...*labels.Matcher) ([]engine.SeriesExemplars, error) {
	return nil, errDown
}
