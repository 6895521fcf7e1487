package loop

import (
	"cmp"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/controller/state"
	"github.com/novacron/novacron/metric"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// ShareHost is a host with its share.
type ShareHost struct {
	ID string
	// Share is what the host has now; nil where it has none yet.
	Share *novacronv1.MetricShare
	// Known says that the host told its series of late and, where it has no share, that it has heard of the limit: it
	// makes no new series then.
	Known bool
	// Active are the series that the host told, or may have. Heard is up to which revision it knows of the cluster.
	Active, Heard uint64
}

// shareHosts are all hosts, by id. For a young leader, one that has no share and did not tell may have any number of series.
func shareHosts(view state.View, record *statev1.MetricLimitsRecord, told map[string]usage, young bool) (hosts []ShareHost) {
	shares := map[string]*novacronv1.MetricShare{}
	for _, share := range record.GetShares() {
		shares[share.GetHostId()] = share
	}
	for id := range view.Hosts("") {
		u, known := told[id]
		h := ShareHost{ID: id, Share: shares[id], Known: known, Active: u.series, Heard: u.revision}
		if h.Share == nil {
			h.Known = known && u.revision >= record.GetRevision()
		}
		if h.Share == nil && !known && young {
			h.Active = math.MaxUint64
		}
		hosts = append(hosts, h)
	}
	return hosts
}

// division is what shares shall come to, and when that was last thought about.
type division struct {
	// began is when this leader first looked.
	began   time.Time
	limit   uint64
	hosts   []string
	at      time.Time
	targets map[string]uint64
}

// young tells whether hosts that are up may not have told this leader of their series yet.
func (d *division) young(now time.Time) bool {
	if d.began.IsZero() {
		d.began = now
	}
	return now.Sub(d.began) < shareSilence
}

// see divides anew where hosts or limit have changed, and each minute where a host has used up much of its room.
func (d *division) see(limit uint64, hosts []ShareHost, now time.Time) {
	var ids []string
	for i := range hosts {
		if hosts[i].Known {
			ids = append(ids, hosts[i].ID)
		}
	}
	changed := limit != d.limit || !slices.Equal(ids, d.hosts)
	if !changed && now.Sub(d.at) < divideEvery {
		return
	}
	next := divide(limit, hosts)
	if !changed && !slices.ContainsFunc(hosts, func(h ShareHost) bool { return h.tight(next[h.ID]) }) {
		return
	}
	d.limit, d.hosts, d.at, d.targets = limit, ids, now, next
}

// tight tells whether a host has used half of the room that another share would give it.
func (h ShareHost) tight(next uint64) bool {
	now := h.Share.GetSeries()
	return h.Known && next > now && 2*(now-min(now, h.Active)) < next-min(next, h.Active)
}

// divide gives the shares of hosts that tell their series; the others keep what they hold.
func divide(limit uint64, hosts []ShareHost) map[string]uint64 {
	var ids []string
	var active []uint64
	targets := map[string]uint64{}
	for _, h := range hosts {
		switch {
		case h.Known:
			ids, active = append(ids, h.ID), append(active, h.Active)
		case h.Share != nil:
			targets[h.ID] = h.Share.GetSeries()
			limit -= min(limit, h.Share.GetHeld())
		}
	}
	for i, share := range metric.Divide(limit, active) {
		targets[ids[i]] = share
	}
	return targets
}

// PlanShares goes as far towards the targets as is safe: less at once, more out of what nobody holds. What hosts have comes
// first. Hosts are in the order of their ids, and so are the shares; a host that is not known gets no first share.
//
// Together hosts have at most as many series as they hold, and what they had beyond that when they were first known. That
// surplus only falls: a host whose series are above its share makes no new ones, and it holds less only where it has less.
// So as long as the limit stays, hosts that had fewer series than it then never have more, and others no more than then.
func PlanShares(limit uint64, hosts []ShareHost, targets map[string]uint64) []*novacronv1.MetricShare {
	p := &sharePlan{targets: targets, free: limit}
	for _, h := range hosts {
		p.add(h)
	}
	p.hold(func(id string, active uint64) uint64 { return min(active, targets[id]) })
	p.hold(func(_ string, active uint64) uint64 { return active })
	p.grow()
	return p.shares
}

// sharePlan are shares in the making.
type sharePlan struct {
	targets map[string]uint64
	// free is what nobody holds.
	free   uint64
	shares []*novacronv1.MetricShare
	// active are the series that the host of each share told; 0 where it told nothing.
	active []uint64
}

// add takes a host's share as it stands, or what it may have without one, out of what is free.
func (p *sharePlan) add(h ShareHost) {
	if h.Share == nil && !h.Known {
		p.free -= min(p.free, h.Active)
		return
	}
	share := &novacronv1.MetricShare{HostId: h.ID}
	if h.Share != nil {
		share = proto.CloneOf(h.Share)
	}
	if h.Known && h.Heard >= share.GetRevision() {
		share.Held = max(share.GetSeries(), min(share.GetHeld(), h.Active))
	}
	if target, has := p.targets[h.ID]; has {
		share.Series = min(share.GetSeries(), target)
	}
	p.shares, p.active = append(p.shares, share), append(p.active, h.Active)
	p.free -= min(p.free, share.GetHeld())
}

// hold has hosts hold some of the series that they have, as far as there is room.
func (p *sharePlan) hold(some func(id string, active uint64) uint64) {
	for i, share := range p.shares {
		want := some(share.GetHostId(), p.active[i])
		more := min(p.free, want-min(want, share.GetHeld()))
		share.Held += more
		p.free -= more
	}
}

// grow lets shares come closer to their targets, those that lack most first.
func (p *sharePlan) grow() {
	order := slices.Clone(p.shares)
	slices.SortStableFunc(order, func(a, b *novacronv1.MetricShare) int { return cmp.Compare(p.lack(b), p.lack(a)) })
	for _, share := range order {
		share.Series += min(p.lack(share), p.free+share.GetHeld()-share.GetSeries())
		p.free -= share.GetSeries() - min(share.GetSeries(), share.GetHeld())
		share.Held = max(share.GetHeld(), share.GetSeries())
	}
}

// lack is what a share is below its target.
func (p *sharePlan) lack(share *novacronv1.MetricShare) uint64 {
	target := p.targets[share.GetHostId()]
	return target - min(target, share.GetSeries())
}
