package state

import (
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// Bounds, in bytes, of what hosts are told of metrics in one message: all definitions go to every host, sources to theirs.
const (
	maxDefinitionsBytes = 512 << 10
	maxSourcesBytes     = 1 << 20
)

// sizeBut sums up the records of a table without one of them.
func sizeBut[M proto.Message](t table[M], name string) (bytes int) {
	for key, record := range t.after("") {
		if key != name {
			bytes += proto.Size(record)
		}
	}
	return bytes
}

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
	case sizeBut(x.t.metrics, after.GetName())+proto.Size(after) > maxDefinitionsBytes:
		return nil, fmt.Errorf("%w: metric %q: with it the %d definitions have more than %d bytes, and every host has to keep them: delete some, or shorten their help",
			ErrRefused, after.GetName(), x.t.metrics.len(), maxDefinitionsBytes)
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
