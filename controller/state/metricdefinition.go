package state

import (
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// MaxMetricDefinitions bounds what every host has to know.
const MaxMetricDefinitions = 10_000

// MetricDefinition finds a metric of users by name.
func (v View) MetricDefinition(name string) (*novacronv1.MetricDefinition, bool) {
	return v.t.metrics.get(name)
}

// MetricDefinitions yields the metrics of users with names above start, by name.
func (v View) MetricDefinitions(start string) iter.Seq2[string, *novacronv1.MetricDefinition] {
	return v.t.metrics.after(start)
}

// putMetricDefinition defines a metric or says something else of it. What samples mean, type and unit, is for good.
func (x *txn) putMetricDefinition(op *statev1.PutMetricDefinition) (proto.Message, error) {
	if op.GetDefinition().GetName() == "" {
		return nil, fmt.Errorf("%w: a metric without a name", ErrInvalid)
	}
	after := edit(op.GetDefinition())
	before, existed := x.t.metrics.get(after.GetName())
	switch {
	case !existed && x.t.metrics.len() >= MaxMetricDefinitions:
		return nil, fmt.Errorf("%w: metric %q: %d are defined, the most that can be: delete some", ErrRefused, after.GetName(), x.t.metrics.len())
	case existed && (before.GetType() != after.GetType() || before.GetUnit() != after.GetUnit()):
		return nil, fmt.Errorf("%w: metric %q is a %s in %q: stored samples mean that; take another name, or delete it first",
			ErrExists, after.GetName(), before.GetType(), before.GetUnit())
	case existed:
		after.CreateTime, after.Revision = before.GetCreateTime(), before.GetRevision()
		if proto.Equal(before, after) {
			return before, nil
		}
	default:
		after.CreateTime = x.now
	}
	after.Revision = x.revision
	x.t.metrics.put(after.GetName(), after)
	x.changed(orNil(before, existed), after)
	return after, nil
}

func (x *txn) deleteMetricDefinition(op *statev1.DeleteMetricDefinition) (proto.Message, error) {
	definition, ok := x.t.metrics.get(op.GetName())
	if !ok {
		return nil, fmt.Errorf("%w: metric %q is not defined: see «novacron metric definition list»", ErrNotFound, op.GetName())
	}
	x.t.metrics.delete(op.GetName())
	x.changed(definition, nil)
	return definition, nil
}
