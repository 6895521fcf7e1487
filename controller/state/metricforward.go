package state

import (
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// Bounds of forwards: every host is told of all of them, and has a queue for each.
const (
	maxForwards      = 16
	maxForwardsBytes = 512 << 10
)

// MetricForward finds a forward by name, with its sealed secret.
func (v View) MetricForward(name string) (*statev1.MetricForwardRecord, bool) {
	return v.t.forwards.get(name)
}

// MetricForwards yields the forwards with names above start, by name.
func (v View) MetricForwards(start string) iter.Seq2[string, *statev1.MetricForwardRecord] {
	return v.t.forwards.after(start)
}

// putMetricForward makes a forward, or gives one another definition. The same definition again is a retry.
func (x *txn) putMetricForward(op *statev1.PutMetricForward) (proto.Message, error) {
	name := op.GetSpec().GetName()
	before, existed := x.t.forwards.get(name)
	switch {
	case name == "":
		return nil, fmt.Errorf("%w: a metric forward without a name", ErrInvalid)
	case existed && op.GetReplace():
		return x.changeForward(before, op)
	case existed:
		return sameForward(before.GetForward(), edit(op.GetSpec()))
	case op.GetReplace():
		return nil, fmt.Errorf("%w: metric forward %q: create it first", ErrNotFound, name)
	case x.t.forwards.len() >= maxForwards:
		return nil, fmt.Errorf("%w: metric forward %q: there are %d already, each with a queue on every host: delete one", ErrRefused, name, maxForwards)
	}
	// The revision is an id that no forward had before, also none that bore the name.
	forward := &novacronv1.MetricForward{Spec: edit(op.GetSpec()), Generation: 1, Id: x.revision, CreateTime: x.now}
	record := &statev1.MetricForwardRecord{Forward: forward}
	if err := x.takeForwardSecret(record, forward.GetSpec(), op.GetSecret()); err != nil {
		return nil, err
	}
	return x.storeForward(record)
}

// sameForward answers a create that came twice.
func sameForward(forward *novacronv1.MetricForward, spec *novacronv1.MetricForwardSpec) (proto.Message, error) {
	keepSealedTime(spec.GetCredential(), forward.GetSpec().GetCredential())
	if !proto.Equal(spec, forward.GetSpec()) {
		return nil, fmt.Errorf("%w: metric forward %q is there with another definition: update it, or take another name", ErrExists, spec.GetName())
	}
	return forward, nil
}

func (x *txn) changeForward(before *statev1.MetricForwardRecord, op *statev1.PutMetricForward) (proto.Message, error) {
	after, spec := edit(before), edit(op.GetSpec())
	forward := after.GetForward()
	if op.GetGeneration() != 0 && op.GetGeneration() != forward.GetGeneration() {
		return nil, fmt.Errorf("%w: metric forward %q has generation %d, the change was made from %d: look again", ErrStale, spec.GetName(), forward.GetGeneration(), op.GetGeneration())
	}
	if err := x.takeForwardSecret(after, spec, op.GetSecret()); err != nil {
		return nil, err
	}
	if proto.Equal(forward.GetSpec(), spec) {
		return forward, nil
	}
	forward.Spec = spec
	forward.Generation++
	return x.storeForward(after)
}

// takeForwardSecret puts a new secret into a record, keeps the one that is there, or drops it, as the definition says.
func (x *txn) takeForwardSecret(record *statev1.MetricForwardRecord, spec *novacronv1.MetricForwardSpec, secret *statev1.SealedMetricSecret) error {
	was := record.GetForward().GetSpec()
	sealed := spec.GetCredential().GetSealed()
	switch {
	case sealed == nil:
		record.Secret = nil
	case secret == nil && record.GetSecret() == nil:
		return fmt.Errorf("%w: metric forward %q has no sealed secret to keep: give one", ErrInvalid, spec.GetName())
	case secret == nil && (was.GetUrl() != spec.GetUrl() || was.GetCaPem() != spec.GetCaPem()):
		return fmt.Errorf("%w: metric forward %q: its secret was given for another remote and is not sent to this one: give it again", ErrInvalid, spec.GetName())
	case secret == nil:
		spec.Credential.Reference = &novacronv1.MetricCredential_Sealed{Sealed: edit(was.GetCredential().GetSealed())}
	default:
		sealed.SetTime = x.now
		keepSealedTime(spec.GetCredential(), was.GetCredential())
		record.Secret = secret
	}
	return nil
}

// storeForward puts a forward with a new definition, where there is room for it.
func (x *txn) storeForward(record *statev1.MetricForwardRecord) (proto.Message, error) {
	name := record.GetForward().GetSpec().GetName()
	if sizeBut(x.t.forwards, name)+proto.Size(record) > maxForwardsBytes {
		return nil, fmt.Errorf("%w: metric forward %q: with it the %d forwards have more than %d bytes: delete some, or give certificates and secrets as files of the hosts",
			ErrRefused, name, x.t.forwards.len(), maxForwardsBytes)
	}
	before, existed := x.t.forwards.get(name)
	record.Forward.Revision = x.revision
	x.t.forwards.put(name, record)
	x.changed(orNil(before, existed), record)
	return record.GetForward(), nil
}

func (x *txn) deleteMetricForward(op *statev1.DeleteMetricForward) (proto.Message, error) {
	record, ok := x.t.forwards.get(op.GetName())
	if !ok {
		return nil, fmt.Errorf("%w: metric forward %q: see «novacron metric forward list»", ErrNotFound, op.GetName())
	}
	x.t.forwards.delete(op.GetName())
	x.changed(record, nil)
	return record.GetForward(), nil
}

// reviveForwards brings the forwards of a backup in line with today: one that is the same today keeps its id, so that hosts
// keep what they have queued for it.
func (x *txn) reviveForwards(facts *tables) {
	for _, saved := range tableValues(x.t.forwards) {
		now, alive := facts.forwards.get(saved.GetForward().GetSpec().GetName())
		if alive && proto.Equal(now, saved) {
			continue
		}
		after := edit(saved)
		if alive && now.GetForward().GetId() == saved.GetForward().GetId() {
			after.Forward.Generation = max(now.GetForward().GetGeneration(), saved.GetForward().GetGeneration()) + 1
		} else {
			after.Forward.Id, after.Forward.Generation = x.revision, saved.GetForward().GetGeneration()+1
		}
		after.Forward.Revision = x.revision
		x.t.forwards.put(after.GetForward().GetSpec().GetName(), after)
	}
}
