package state

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// assignMetricSources gives sources that no host has to hosts. What went stale meanwhile is left out.
func (x *txn) assignMetricSources(op *statev1.AssignMetricSources) (proto.Message, error) {
	did := false
	for _, a := range op.GetAssignments() {
		did = x.assign(a) || did
	}
	for _, r := range op.GetRefusals() {
		did = x.refuseSource(r) || did
	}
	if !did {
		return nil, fmt.Errorf("%w: the sources or their hosts have changed", ErrStale)
	}
	return nil, nil
}

func (x *txn) assign(a *statev1.MetricAssignment) bool {
	before, ok := x.t.sources.get(a.GetSource())
	host, isHost := x.t.hosts.get(a.GetHostId())
	member, _ := x.t.members.get(a.GetHostId())
	up := isHost && host.GetState() == novacronv1.HostState_HOST_STATE_UP && !host.GetDraining()
	if !ok || !up || before.GetSource().GetRevision() != a.GetRevision() || before.GetSource().GetStatus().GetState() != sourceWaiting {
		return false
	}
	after := edit(before)
	status := after.GetSource().GetStatus()
	status.State, status.Message = sourceStarting, ""
	status.ContinuedEpoch = 0
	if status.GetLastHostId() == a.GetHostId() {
		status.ContinuedEpoch = status.GetEpoch()
	}
	status.HostId, status.HostName, status.LastHostId = a.GetHostId(), member.GetName(), a.GetHostId()
	status.SinceTime, status.UpdateTime, status.ObservedGeneration = x.now, x.now, 0
	// The revision is an epoch that no assignment had before, of this source or of one that bore its name.
	status.Epoch = x.revision
	x.putSource(after)
	return true
}

// refuseSource records why no host can take a source.
func (x *txn) refuseSource(r *statev1.MetricRefusal) bool {
	before, ok := x.t.sources.get(r.GetSource())
	if !ok || before.GetSource().GetRevision() != r.GetRevision() || before.GetSource().GetStatus().GetState() != sourceWaiting {
		return false
	}
	after := edit(before)
	after.Source.Status.Message, after.Source.Status.UpdateTime = r.GetMessage(), x.now
	x.putSource(after)
	return true
}

// endMetricAssignments asks hosts to let go. From this command on no lease is given for the epochs that it names.
func (x *txn) endMetricAssignments(op *statev1.EndMetricAssignments) (proto.Message, error) {
	did := false
	for _, e := range op.GetEndings() {
		before, ok := x.t.sources.get(e.GetSource())
		if !ok || !MayCollect(before.GetSource(), before.GetSource().GetStatus().GetHostId()) || before.GetSource().GetStatus().GetEpoch() != e.GetEpoch() {
			continue
		}
		after := edit(before)
		end(after.GetSource(), e.GetMessage())
		x.putSource(after)
		did = true
	}
	if !did {
		return nil, fmt.Errorf("%w: the assignments have ended already", ErrStale)
	}
	return nil, nil
}

// endSourcesOf asks a host that was removed to let go; it cannot say that it has, so its leases have to run out.
func (x *txn) endSourcesOf(host *novacronv1.Member) {
	for _, before := range tableValues(x.t.sources) {
		if MayCollect(before.GetSource(), host.GetId()) {
			after := edit(before)
			end(after.GetSource(), "host "+host.GetName()+" was removed from the cluster")
			x.putSource(after)
		}
	}
}

// releaseMetricSources takes sources from hosts whose leases have run out.
func (x *txn) releaseMetricSources(op *statev1.ReleaseMetricSources) (proto.Message, error) {
	did := false
	for _, r := range op.GetReleases() {
		before, ok := x.t.sources.get(r.GetSource())
		if !ok || before.GetSource().GetStatus().GetEpoch() != r.GetEpoch() || before.GetSource().GetStatus().GetState() != sourceEnding {
			continue
		}
		x.letGo(before)
		did = true
	}
	if !did {
		return nil, fmt.Errorf("%w: the assignments have ended already", ErrStale)
	}
	return nil, nil
}

// letGo frees a source whose collector is known to have stopped, or drops it where it is being deleted.
func (x *txn) letGo(before *statev1.MetricSourceRecord) {
	if before.GetSource().GetDeleteTime() != nil {
		x.dropSource(before)
		return
	}
	after := edit(before)
	status := after.GetSource().GetStatus()
	status.State, status.Message, status.UpdateTime = idleState(after.GetSource()), "", x.now
	status.HostId, status.HostName, status.SinceTime = "", "", nil
	x.putSource(after)
}

// observeMetricSources takes what a host says of its jobs. Another epoch is another story, and is not heard.
func (x *txn) observeMetricSources(op *statev1.ObserveMetricSources) (proto.Message, error) {
	for _, o := range op.GetSources() {
		before, ok := x.t.sources.get(o.GetSource())
		status := before.GetSource().GetStatus()
		if !ok || op.GetHostId() == "" || status.GetHostId() != op.GetHostId() || status.GetEpoch() != o.GetEpoch() {
			continue
		}
		if status.GetState() == sourceEnding && o.GetStopped() {
			x.observe(before, o)
			before, _ = x.t.sources.get(o.GetSource())
			x.letGo(before)
			continue
		}
		x.observe(before, o)
	}
	return nil, nil
}

func (x *txn) observe(before *statev1.MetricSourceRecord, o *statev1.MetricSourceObservation) {
	after := edit(before)
	status := after.GetSource().GetStatus()
	status.ObservedGeneration, status.UpdateTime = max(status.GetObservedGeneration(), o.GetObservedGeneration()), x.now
	if o.GetLastSuccessTime() != nil {
		status.LastSuccessTime = o.GetLastSuccessTime()
	}
	if status.LastError = o.GetLastError(); o.GetLastErrorTime() != nil {
		status.LastErrorTime = o.GetLastErrorTime()
	}
	status.Series, status.ForecastUnits, status.ForecastCost = o.GetSeries(), o.GetForecastUnits(), o.GetForecastCost()
	status.Pauses, status.Spent = o.GetPauses(), o.GetSpent()
	if o.GetWatermark().AsTime().After(status.GetWatermark().AsTime()) {
		status.Watermark = o.GetWatermark()
	}
	if status.GetState() != sourceEnding {
		status.State = observedState(o)
	}
	x.putSource(after)
}

func observedState(o *statev1.MetricSourceObservation) novacronv1.MetricSourceState {
	switch {
	case o.GetLastError() != "":
		return sourceFailing
	case o.GetStopped() || o.GetLastSuccessTime() == nil:
		return sourceStarting
	}
	return sourceRunning
}

// sourceEvents tells of a source's making and end, of new definitions, hosts and states.
func sourceEvents(change Change) []*novacronv1.Event {
	before, _ := change.Before.(*statev1.MetricSourceRecord)
	source := change.Record().(*statev1.MetricSourceRecord).GetSource()
	was, is := before.GetSource().GetStatus(), source.GetStatus()
	kind := fate(change)
	if kind == "changed" {
		switch {
		case was.GetHostId() == "" && is.GetHostId() != "":
			kind = "assigned"
		case was.GetHostId() != "" && is.GetHostId() == "":
			kind = "released"
		case was.GetState() != is.GetState():
			kind = sourceWord(is.GetState())
		case before.GetSource().GetGeneration() == source.GetGeneration():
			return nil
		}
	}
	message := "metric source " + source.GetSpec().GetName()
	if is.GetState() == sourceFailing && kind == "failing" {
		message += ": " + is.GetLastError()
	} else if is.GetMessage() != "" && change.After != nil {
		message += ": " + is.GetMessage()
	}
	return []*novacronv1.Event{{Kind: "metric-source." + kind, Message: message, HostId: is.GetHostId(), HostName: is.GetHostName()}}
}

// reviveSources brings the sources of a backup in line with today: who collects is a fact, what is collected intent. A
// source that today has and the backup has not is ended in order, so that nobody makes it anew while it runs.
func (x *txn) reviveSources(facts *tables) {
	for _, saved := range tableValues(x.t.sources) {
		now, alive := facts.sources.get(saved.GetSource().GetSpec().GetName())
		if alive && proto.Equal(now, saved) {
			continue
		}
		after := edit(saved)
		source := after.GetSource()
		source.DeleteTime = nil
		source.Status = &novacronv1.MetricSourceStatus{UpdateTime: saved.GetSource().GetStatus().GetUpdateTime(), Watermark: saved.GetSource().GetStatus().GetWatermark()}
		source.Status.State = idleState(source)
		if alive {
			x.reviveSource(source, edit(now.GetSource()))
		}
		x.putSource(after)
	}
	for _, now := range tableValues(facts.sources) {
		if _, kept := x.t.sources.get(now.GetSource().GetSpec().GetName()); !kept && now.GetSource().GetStatus().GetHostId() != "" {
			after := edit(now)
			x.condemn(after.GetSource(), now.GetSource().GetStatus().GetSinceTime())
			x.putSource(after)
		}
	}
}

func (x *txn) reviveSource(source, now *novacronv1.MetricSource) {
	kindChanged := kindOf(source.GetSpec()) != kindOf(now.GetSpec())
	source.Generation = max(now.GetGeneration(), source.GetGeneration()) + 1
	held := now.GetStatus().GetHostId() != ""
	source.DeleteTime, source.Status = now.GetDeleteTime(), now.GetStatus()
	if kindChanged {
		source.Status.Watermark, source.Status.LastHostId, source.Status.ContinuedEpoch = nil, "", 0
	}
	switch {
	case !held:
		source.Status.State = idleState(source)
	case source.GetSpec().GetPaused(), kindChanged:
		end(source, "its definition was restored from a backup")
	}
}

// sourceWord is a state as people write it.
func sourceWord(state novacronv1.MetricSourceState) string {
	return map[novacronv1.MetricSourceState]string{
		sourceWaiting: "waiting", sourceStarting: "starting", sourceRunning: "running", sourceFailing: "failing",
		sourceEnding: "ending", sourcePaused: "paused",
	}[state]
}
