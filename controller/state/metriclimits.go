package state

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// limitsKey is where the one record of limits lies.
const limitsKey = "cluster"

// maxLimitsBytes bounds the limits: every host keeps them.
const maxLimitsBytes = 256 << 10

// MetricLimits are how many series there may be, and the hosts' shares of them; false where nobody has set any.
func (v View) MetricLimits() (*statev1.MetricLimitsRecord, bool) { return v.t.limits.get(limitsKey) }

// putMetricLimits replaces the limits. Shares stay as they are: who has one keeps to it until it hears of another.
func (x *txn) putMetricLimits(op *statev1.PutMetricLimits) (proto.Message, error) {
	before, existed := x.t.limits.get(limitsKey)
	switch {
	case op.GetLimits() == nil:
		return nil, fmt.Errorf("%w: limits of series without limits", ErrInvalid)
	case proto.Size(op.GetLimits()) > maxLimitsBytes:
		return nil, fmt.Errorf("%w: limits of series: %d bytes, at most %d, since every host has to keep them: name fewer metrics and jobs", ErrRefused, proto.Size(op.GetLimits()), maxLimitsBytes)
	case op.GetRevision() != 0 && op.GetRevision() != before.GetRevision():
		return nil, fmt.Errorf("%w: the limits of series were changed meanwhile: look at them again", ErrStale)
	case existed && proto.Equal(before.GetLimits(), op.GetLimits()):
		return before, nil
	}
	after := &statev1.MetricLimitsRecord{Limits: edit(op.GetLimits()), Revision: x.revision}
	if after.GetLimits().GetClusterSeries() > 0 {
		after.Shares = before.GetShares()
	}
	x.putLimits(before, existed, after)
	return after, nil
}

func (x *txn) putLimits(before *statev1.MetricLimitsRecord, existed bool, after *statev1.MetricLimitsRecord) {
	x.t.limits.put(limitsKey, after)
	x.changed(orNil(before, existed), after)
}

// shareMetricSeries replaces the shares of the cluster's limit. What hosts may take for their shares never comes to more
// than the limit by it, nor to more than it did where it was more: a share grows only out of what is free.
func (x *txn) shareMetricSeries(op *statev1.ShareMetricSeries) (proto.Message, error) {
	before, existed := x.t.limits.get(limitsKey)
	if !existed || before.GetRevision() != op.GetRevision() || before.GetLimits().GetClusterSeries() == 0 {
		return nil, fmt.Errorf("%w: the limits of series were changed meanwhile", ErrStale)
	}
	was := map[string]*novacronv1.MetricShare{}
	for _, share := range before.GetShares() {
		was[share.GetHostId()] = share
	}
	limit, sum, grows, last := before.GetLimits().GetClusterSeries(), uint64(0), false, ""
	for _, share := range op.GetShares() {
		if _, ok := x.t.hosts.get(share.GetHostId()); !ok {
			return nil, fmt.Errorf("%w: host %q is gone", ErrStale, share.GetHostId())
		}
		if share.GetHostId() <= last || share.GetHeld() < share.GetSeries() || share.GetHeld() > limit && share.GetHeld() > was[share.GetHostId()].GetHeld() {
			return nil, fmt.Errorf("%w: the share of host %q: %d series of %d held", ErrInvalid, share.GetHostId(), share.GetSeries(), share.GetHeld())
		}
		last = share.GetHostId()
		sum += share.GetHeld()
		grows = grows || share.GetHeld() > was[share.GetHostId()].GetHeld()
	}
	if grows && sum > limit {
		return nil, fmt.Errorf("%w: shares of %d series, the limit of the cluster is %d", ErrRefused, sum, limit)
	}
	after := edit(before)
	after.Shares = nil
	for _, share := range op.GetShares() {
		next := &novacronv1.MetricShare{HostId: share.GetHostId(), Series: share.GetSeries(), Held: share.GetHeld(), Revision: x.revision}
		if old, had := was[share.GetHostId()]; had && old.GetSeries() == next.GetSeries() {
			next.Revision = old.GetRevision()
		}
		after.Shares = append(after.Shares, next)
	}
	if proto.Equal(before, after) {
		return before, nil
	}
	x.putLimits(before, true, after)
	return after, nil
}

// reviveLimits keeps what hosts have been given: the limit of a backup is intent, shares are facts.
func (x *txn) reviveLimits(facts *tables) {
	saved, has := x.t.limits.get(limitsKey)
	if !has {
		return
	}
	now, _ := facts.limits.get(limitsKey)
	after := edit(saved)
	if after.Shares = nil; after.GetLimits().GetClusterSeries() > 0 {
		after.Shares = now.GetShares()
	}
	after.Revision = x.revision
	x.t.limits.put(limitsKey, after)
}
