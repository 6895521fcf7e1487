package state

import (
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"

	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// maxTemplates bounds the templates of a cluster.
const maxTemplates = 1000

func (x *txn) putTemplate(op *statev1.PutTemplate) (proto.Message, error) {
	before, replaces := x.t.templates.get(op.GetName())
	if !replaces && x.t.templates.len() >= maxTemplates {
		return nil, fmt.Errorf("%w: template %q: there are %d already, at most %d: delete one first", ErrRefused, op.GetName(), x.t.templates.len(), maxTemplates)
	}
	if replaces && before.GetText() == op.GetText() {
		return before, nil
	}
	record := &statev1.TemplateRecord{Name: op.GetName(), Text: op.GetText(), Revision: x.revision}
	x.t.templates.put(record.GetName(), record)
	return record, nil
}

func (x *txn) deleteTemplate(op *statev1.DeleteTemplate) (proto.Message, error) {
	record, ok := x.t.templates.get(op.GetName())
	if !ok {
		return nil, fmt.Errorf("%w: template %q: see «novacron vm template list»; those that come with the program stay", ErrNotFound, op.GetName())
	}
	x.t.templates.delete(record.GetName())
	return record, nil
}

// Template finds a template that a user added.
func (v View) Template(name string) (*statev1.TemplateRecord, bool) { return v.t.templates.get(name) }

// Templates yields the templates that users added, by name.
func (v View) Templates() iter.Seq2[string, *statev1.TemplateRecord] { return v.t.templates.after("") }
