package state

import (
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// The states of a source in short.
const (
	sourceWaiting  = novacronv1.MetricSourceState_METRIC_SOURCE_STATE_WAITING
	sourceStarting = novacronv1.MetricSourceState_METRIC_SOURCE_STATE_STARTING
	sourceRunning  = novacronv1.MetricSourceState_METRIC_SOURCE_STATE_RUNNING
	sourceFailing  = novacronv1.MetricSourceState_METRIC_SOURCE_STATE_FAILING
	sourceEnding   = novacronv1.MetricSourceState_METRIC_SOURCE_STATE_ENDING
	sourcePaused   = novacronv1.MetricSourceState_METRIC_SOURCE_STATE_PAUSED
)

// MetricSource finds a source by name, with its sealed secret.
func (v View) MetricSource(name string) (*statev1.MetricSourceRecord, bool) {
	return v.t.sources.get(name)
}

// MetricSources yields the sources with names above start, by name.
func (v View) MetricSources(start string) iter.Seq2[string, *statev1.MetricSourceRecord] {
	return v.t.sources.after(start)
}

// MayCollect tells whether a host may have a lease for a source: it is the host's, and nobody has asked for it back.
// Together with a proof that the view is not older than the question this is what keeps a source from having two
// collectors: see the loop that assigns them.
func MayCollect(source *novacronv1.MetricSource, hostID string) bool {
	return hostID != "" && source.GetStatus().GetHostId() == hostID && source.GetStatus().GetState() != sourceEnding
}

func (x *txn) putSource(record *statev1.MetricSourceRecord) *novacronv1.MetricSource {
	name := record.GetSource().GetSpec().GetName()
	before, existed := x.t.sources.get(name)
	record.Source.Revision = x.revision
	x.t.sources.put(name, record)
	x.changed(orNil(before, existed), record)
	return record.GetSource()
}

func (x *txn) dropSource(record *statev1.MetricSourceRecord) {
	x.t.sources.delete(record.GetSource().GetSpec().GetName())
	x.changed(record, nil)
}

func (x *txn) findSource(name string) (*statev1.MetricSourceRecord, error) {
	record, ok := x.t.sources.get(name)
	if !ok {
		return nil, fmt.Errorf("%w: metric source %q: see «novacron metric source list»", ErrNotFound, name)
	}
	return record, nil
}

// putMetricSource makes a source, or gives one another definition. The same definition again is a retry.
func (x *txn) putMetricSource(op *statev1.PutMetricSource) (proto.Message, error) {
	before, existed := x.t.sources.get(op.GetSpec().GetName())
	switch {
	case op.GetSpec().GetName() == "":
		return nil, fmt.Errorf("%w: a metric source without a name", ErrInvalid)
	case existed && op.GetReplace():
		return x.changeSource(before, op)
	case existed:
		return x.sameSource(before, op)
	case op.GetReplace():
		return nil, fmt.Errorf("%w: metric source %q: create it first", ErrNotFound, op.GetSpec().GetName())
	}
	source := &novacronv1.MetricSource{Spec: edit(op.GetSpec()), Generation: 1, CreateTime: x.now, Status: &novacronv1.MetricSourceStatus{UpdateTime: x.now}}
	source.Status.State = idleState(source)
	record := &statev1.MetricSourceRecord{Source: source}
	if err := x.takeSecret(record, source.GetSpec(), op.GetSecret()); err != nil {
		return nil, err
	}
	return x.storeSource(record)
}

// storeSource puts a source with a new definition, where there is room for it.
func (x *txn) storeSource(record *statev1.MetricSourceRecord) (proto.Message, error) {
	name := record.GetSource().GetSpec().GetName()
	if sizeBut(x.t.sources, name)+proto.Size(record) > maxSourcesBytes {
		return nil, fmt.Errorf("%w: metric source %q: with it the %d sources have more than %d bytes: delete some, or give certificates and secrets as files of the hosts",
			ErrRefused, name, x.t.sources.len(), maxSourcesBytes)
	}
	return x.putSource(record), nil
}

// sameSource answers a create that came twice.
func (x *txn) sameSource(before *statev1.MetricSourceRecord, op *statev1.PutMetricSource) (proto.Message, error) {
	source, spec := before.GetSource(), edit(op.GetSpec())
	if source.GetDeleteTime() != nil {
		return nil, fmt.Errorf("%w: metric source %q is being deleted: try again when it is gone, or take another name", ErrExists, spec.GetName())
	}
	keepSetTime(spec, source.GetSpec())
	if !proto.Equal(spec, source.GetSpec()) {
		return nil, fmt.Errorf("%w: metric source %q is there with another definition: update it, or take another name", ErrExists, spec.GetName())
	}
	return source, nil
}

// keepSetTime tells of a secret that is the same as before when it was set.
func keepSetTime(spec, before *novacronv1.MetricSourceSpec) {
	keepSealedTime(spec.GetCredential(), before.GetCredential())
}

func keepSealedTime(credential, before *novacronv1.MetricCredential) {
	was, is := before.GetSealed(), credential.GetSealed()
	if is != nil && was != nil && was.GetFingerprint() == is.GetFingerprint() && was.GetKeyId() == is.GetKeyId() {
		is.SetTime = was.GetSetTime()
	}
}

func (x *txn) changeSource(before *statev1.MetricSourceRecord, op *statev1.PutMetricSource) (proto.Message, error) {
	after := edit(before)
	source, spec := after.GetSource(), edit(op.GetSpec())
	switch {
	case source.GetDeleteTime() != nil:
		return nil, fmt.Errorf("%w: metric source %q is being deleted", ErrRefused, spec.GetName())
	case op.GetGeneration() != 0 && op.GetGeneration() != source.GetGeneration():
		return nil, fmt.Errorf("%w: metric source %q has generation %d, the change was made from %d: look again", ErrStale, spec.GetName(), source.GetGeneration(), op.GetGeneration())
	case kindOf(source.GetSpec()) != kindOf(spec):
		return nil, fmt.Errorf("%w: metric source %q: its kind stays as it is: delete it and create another", ErrRefused, spec.GetName())
	}
	if err := x.takeSecret(after, spec, op.GetSecret()); err != nil {
		return nil, err
	}
	if proto.Equal(source.GetSpec(), spec) {
		return source, nil
	}
	source.Spec = spec
	source.Generation++
	source.Status.UpdateTime = x.now
	if source.GetStatus().GetHostId() == "" {
		source.Status.State, source.Status.Message = idleState(source), ""
	} else if spec.GetPaused() {
		end(source, "it is paused")
	}
	return x.storeSource(after)
}

// takeSecret puts a new secret into a record, keeps the one that is there, or drops it, as the definition says.
func (x *txn) takeSecret(record *statev1.MetricSourceRecord, spec *novacronv1.MetricSourceSpec, secret *statev1.SealedMetricSecret) error {
	sealed, known := spec.GetCredential().GetSealed(), record.GetSource().GetSpec().GetCredential().GetSealed()
	switch {
	case sealed == nil:
		record.Secret = nil
	case secret == nil && record.GetSecret() == nil:
		return fmt.Errorf("%w: metric source %q has no sealed secret to keep: give one", ErrInvalid, spec.GetName())
	case secret == nil && !samePlace(record.GetSource().GetSpec(), spec):
		return fmt.Errorf("%w: metric source %q: its secret was given for another target and is not sent to this one: give it again", ErrInvalid, spec.GetName())
	case secret == nil:
		spec.Credential.Reference = &novacronv1.MetricCredential_Sealed{Sealed: edit(known)}
	default:
		sealed.SetTime = x.now
		keepSetTime(spec, record.GetSource().GetSpec())
		record.Secret = secret
	}
	return nil
}

// samePlace tells whether a secret that was given for one definition goes to the same target with another. What clouds are
// asked is always asked of the provider.
func samePlace(before, after *novacronv1.MetricSourceSpec) bool {
	was, is := before.GetScrape(), after.GetScrape()
	return was.GetUrl() == is.GetUrl() && was.GetCaPem() == is.GetCaPem()
}

// kindOf is the number of the field that says where a source is.
func kindOf(spec *novacronv1.MetricSourceSpec) int32 {
	m := spec.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("kind"))
	if field == nil {
		return 0
	}
	return int32(field.Number())
}

// deleteMetricSource drops a source that no host has; one that a host has ends first.
func (x *txn) deleteMetricSource(op *statev1.DeleteMetricSource) (proto.Message, error) {
	before, err := x.findSource(op.GetName())
	if err != nil {
		return nil, err
	}
	if before.GetSource().GetStatus().GetHostId() == "" {
		x.dropSource(before)
		return before.GetSource(), nil
	}
	if before.GetSource().GetDeleteTime() != nil {
		return before.GetSource(), nil
	}
	after := edit(before)
	x.condemn(after.GetSource(), x.now)
	return x.putSource(after), nil
}

func (x *txn) condemn(source *novacronv1.MetricSource, at *timestamppb.Timestamp) {
	source.DeleteTime = at
	source.Generation++
	end(source, "it is being deleted")
}

// end asks the host of a source to let go.
func end(source *novacronv1.MetricSource, why string) {
	if source.GetStatus().GetHostId() != "" {
		source.Status.State, source.Status.Message = sourceEnding, why
	}
}

// idleState is that of a source which no host has.
func idleState(source *novacronv1.MetricSource) novacronv1.MetricSourceState {
	if source.GetSpec().GetPaused() {
		return sourcePaused
	}
	return sourceWaiting
}
