package state

import (
	"fmt"
	"iter"
	"strings"
	"time"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// Events are kept for eventMemory, and never more than maxEvents of them.
const (
	eventMemory = 24 * time.Hour
	maxEvents   = 10000
)

func eventKey(revision uint64, index uint32) string {
	return fmt.Sprintf("%020d/%06d", revision, index)
}

// tell turns the changes of a command into events. Watchers find them in the table: the feed need not hold them too.
func (x *txn) tell() {
	var events []*novacronv1.Event
	for _, change := range x.changes {
		events = append(events, x.eventsOf(change)...)
	}
	events = append(events, x.heard...)
	for i, event := range events {
		event.Revision, event.Index, event.Actor = x.revision, uint32(i), x.actor
		if event.GetTime() == nil {
			event.Time = x.now
		}
		x.t.events.put(eventKey(event.GetRevision(), event.GetIndex()), event)
	}
	x.forgetEvents()
}

// forgetEvents drops what is too old or too much, oldest first and a revision as a whole, so that what is kept after
// eventsFloor has no gap.
func (x *txn) forgetEvents() {
	for key, event := range x.t.events.clone().after("") {
		tooOld := x.now.AsTime().Sub(event.GetTime().AsTime()) > eventMemory
		if x.t.events.len() <= maxEvents && !tooOld && event.GetRevision() > x.t.eventsFloor {
			return
		}
		x.t.events.delete(key)
		x.t.eventsFloor = event.GetRevision()
	}
}

func (x *txn) eventsOf(change Change) []*novacronv1.Event {
	switch record := change.Record().(type) {
	case *novacronv1.VM:
		before, _ := change.Before.(*novacronv1.VM)
		after, _ := change.After.(*novacronv1.VM)
		return vmEvents(before, after)
	case *statev1.HostRecord:
		before, _ := change.Before.(*statev1.HostRecord)
		return x.hostEvents(before, record)
	case *novacronv1.Volume:
		return volumeEvents(change)
	case *novacronv1.Image:
		return []*novacronv1.Event{{Kind: "image." + fate(change), Message: "image " + record.GetName()}}
	case *novacronv1.Network:
		return []*novacronv1.Event{{Kind: "network." + fate(change), Message: "network " + record.GetSpec().GetName()}}
	case *novacronv1.SecurityGroup:
		return []*novacronv1.Event{{Kind: "security-group." + fate(change), Message: "security group " + record.GetSpec().GetName()}}
	case *statev1.MetricSourceRecord:
		return sourceEvents(change)
	case *statev1.MetricForwardRecord:
		return []*novacronv1.Event{{Kind: "metric-forward." + fate(change), Message: "metric forward " + record.GetForward().GetSpec().GetName()}}
	case *novacronv1.MetricDefinition:
		return []*novacronv1.Event{{Kind: "metric-definition." + fate(change), Message: "metric " + record.GetName()}}
	case *novacronv1.Member:
		if change.Before != nil && change.After != nil {
			return nil
		}
		return []*novacronv1.Event{{Kind: "member." + fate(change), Message: roleWord(record.GetRole()) + " " + record.GetName()}}
	}
	return nil
}

// fate is what became of a record.
func fate(change Change) string {
	switch {
	case change.Before == nil:
		return "created"
	case change.After == nil:
		return "deleted"
	}
	return "changed"
}

// volumeEvents tells of a volume's making and end, of new wishes and of states.
func volumeEvents(change Change) []*novacronv1.Event {
	before, _ := change.Before.(*novacronv1.Volume)
	volume := change.Record().(*novacronv1.Volume)
	kind := fate(change)
	if kind == "changed" {
		was, is := before.GetStatus().GetState(), volume.GetStatus().GetState()
		switch {
		case before.GetSpec().GetSizeBytes() != volume.GetSpec().GetSizeBytes():
			kind = "request.resize"
		case before.GetDeleteTime() == nil && volume.GetDeleteTime() != nil:
			kind = "request.delete"
		case was != is:
			kind = volumeWord(is)
		default:
			return nil
		}
	}
	message := "volume " + volume.GetSpec().GetName()
	if trouble := volume.GetStatus().GetMessage(); trouble != "" && change.After != nil {
		message += ": " + trouble
	}
	return []*novacronv1.Event{{
		Kind: "volume." + kind, Message: message, Project: volume.GetSpec().GetProject(), HostId: volume.GetHostId(), HostName: volume.GetHostName(),
	}}
}

// roleWord is a role as people write it.
func roleWord(role novacronv1.Role) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(role.String(), "ROLE_")), "_", "-")
}

// volumeWord is a state as people write it.
func volumeWord(state novacronv1.VolumeState) string {
	return strings.ToLower(strings.TrimPrefix(state.String(), "VOLUME_STATE_"))
}

func vmEvents(before, after *novacronv1.VM) (events []*novacronv1.Event) {
	add := func(vm *novacronv1.VM, kind, message string) {
		events = append(events, &novacronv1.Event{
			Kind: "vm." + kind, Message: message, VmId: vm.GetId(), VmName: vm.GetSpec().GetName(), Project: vm.GetSpec().GetProject(),
			HostId: vm.GetHostId(), HostName: vm.GetHostName(),
		})
	}
	switch {
	case before == nil:
		add(after, "created", "")
		return events
	case after == nil:
		add(before, "deleted", "")
		return events
	}
	if before.GetHostId() != after.GetHostId() {
		add(after, "placed", "on host "+after.GetHostName())
	}
	if before.GetGeneration() != after.GetGeneration() {
		add(after, "request."+after.GetOperation().GetKind(), "")
	}
	if was, is := before.GetStatus().GetPhase(), after.GetStatus().GetPhase(); was != is && is != novacronv1.VMPhase_VM_PHASE_SCHEDULED {
		add(after, word(is), after.GetStatus().GetMessage())
	}
	return events
}

// word is a phase as people write it.
func word(phase novacronv1.VMPhase) string {
	return strings.ToLower(strings.TrimPrefix(phase.String(), "VM_PHASE_"))
}

func (x *txn) hostEvents(before, record *statev1.HostRecord) []*novacronv1.Event {
	kind := strings.ToLower(strings.TrimPrefix(record.GetState().String(), "HOST_STATE_"))
	switch {
	case before == nil || before.GetState() != record.GetState():
	case !before.GetDraining() && record.GetDraining():
		kind = "draining"
	case before.GetDraining() && !record.GetDraining():
		kind = "undrained"
	default:
		return nil
	}
	member, _ := x.t.members.get(record.GetId())
	return []*novacronv1.Event{{Kind: "host." + kind, HostId: record.GetId(), HostName: member.GetName()}}
}

// hear takes what a hypervisor told, once each: a report that is sent again brings the same numbers.
func (x *txn) hear(op *statev1.ObserveVMs) {
	host, ok := x.t.hosts.get(op.GetHostId())
	if !ok || len(op.GetEvents()) == 0 {
		return
	}
	member, _ := x.t.members.get(op.GetHostId())
	after := edit(host)
	for _, told := range op.GetEvents() {
		if told.GetBootId() == after.GetEventBootId() && told.GetSequence() <= after.GetEventSequence() {
			continue
		}
		after.EventBootId, after.EventSequence = told.GetBootId(), told.GetSequence()
		vm, _ := x.t.vms.get(told.GetVmId())
		x.heard = append(x.heard, &novacronv1.Event{
			Kind: "hypervisor." + told.GetKind(), Time: told.GetTime(), VmId: told.GetVmId(), VmName: vm.GetSpec().GetName(),
			Project: vm.GetSpec().GetProject(), HostId: op.GetHostId(), HostName: member.GetName(),
		})
	}
	if len(x.heard) > 0 {
		x.t.hosts.put(after.GetId(), after)
	}
}

// Events yields the events after a revision that are kept, in their order. Complete tells whether none is missing there.
func (v View) Events(revision uint64) (events iter.Seq[*novacronv1.Event], complete bool) {
	return func(yield func(*novacronv1.Event) bool) {
		for _, event := range v.t.events.after(eventKey(revision+1, 0)[:20]) {
			if !yield(event) {
				return
			}
		}
	}, revision >= v.t.eventsFloor
}
