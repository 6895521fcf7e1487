// Package fleet knows the metric shards of the cluster's hosts: what a controller asks of all of them.
package fleet

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

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/controller/state"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/federate/wire"
)

const (
	// summaryFresh is how long a shard's summary decides whether it is asked. With what the shard itself takes to see a
	// new series, one that is younger than about 15 s may be missed where no older one has such a label.
	summaryFresh = 10 * time.Second
	// summaryTimeout bounds the question for one.
	summaryTimeout = 5 * time.Second
)

// Directory lists the shards of all hosts in the state. Those of hosts that are down are not called: they are missing.
type Directory struct {
	Store *state.Store
	// HTTP dials members.
	HTTP   *http.Client
	Logger *slog.Logger

	mu        sync.Mutex
	summaries map[string]*summary
}

var (
	_ federate.Directory = (*Directory)(nil)
	_ federate.Pruner    = (*Directory)(nil)
)

// summary is what is known of the labels of a shard.
type summary struct {
	federate.Summary
	address string
	at      time.Time
	asking  bool
}

// Members are the shards by the names of their hosts.
func (d *Directory) Members() []federate.Member {
	var all []federate.Member
	for _, host := range d.Store.View().Hosts("") {
		all = append(all, federate.Member{Name: host.GetName(), Shard: d.shard(host)})
	}
	slices.SortFunc(all, func(a, b federate.Member) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (d *Directory) shard(host *novacronv1.Host) federate.Shard {
	if host.GetState() == novacronv1.HostState_HOST_STATE_DOWN {
		return down{}
	}
	return d.client(host.GetInfo().GetApiAddress())
}

// client calls a shard. Answers are small or packed already: compressing them again costs more than it saves.
func (d *Directory) client(address string) wire.Client {
	return wire.Client{RPC: agentv1connect.NewShardServiceClient(d.HTTP, node.URL(address),
		connect.WithReadMaxBytes(node.MaxMessageBytes), connect.WithAcceptCompression("gzip", nil, nil))}
}

// MayHave goes by the shard's last summary. Where that is old it is asked for beside, and the shard is asked meanwhile.
func (d *Directory) MayHave(member string, matchers []*labels.Matcher) bool {
	host, known := d.Store.View().Host(member)
	if !known || host.GetState() == novacronv1.HostState_HOST_STATE_DOWN {
		return true // what is missing is told
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.summaries[member]
	if s == nil || s.address != host.GetInfo().GetApiAddress() {
		s = &summary{address: host.GetInfo().GetApiAddress()}
		if d.summaries == nil {
			d.summaries = map[string]*summary{}
		}
		d.summaries[member] = s
	}
	if time.Since(s.at) <= summaryFresh {
		return s.Version == 0 || s.MayHave(matchers)
	}
	if !s.asking {
		s.asking = true
		go d.refresh(member, s)
	}
	return true
}

// refresh asks for a summary, once at a time for each shard.
func (d *Directory) refresh(member string, s *summary) {
	ctx, cancel := context.WithTimeout(context.Background(), summaryTimeout)
	defer cancel()
	began := time.Now()
	next, err := d.client(s.address).Summarize(ctx, s.Version)
	d.mu.Lock()
	defer d.mu.Unlock()
	s.asking = false
	switch {
	case err != nil:
		d.Logger.Debug("a shard does not tell its labels; it is asked for everything", "host", member, "error", err)
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
