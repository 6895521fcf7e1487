package state

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// txn is one command being applied. A command that is refused has put nothing.
type txn struct {
	t        *tables
	revision uint64
	now      *timestamppb.Timestamp
	actor    string
	changes  []Change
	// heard are events that hypervisors told, besides those that follow from the changes.
	heard []*novacronv1.Event
}

func errUpgrade(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrUpgrade}, args...)...)
}

func (x *txn) apply(command *statev1.Command) (proto.Message, error) {
	if command.GetVersion() > Version {
		return nil, errUpgrade("command version %d at revision %d, known up to %d", command.GetVersion(), x.revision, Version)
	}
	switch op := command.GetOp().(type) {
	case *statev1.Command_InitCluster:
		return x.initCluster(op.InitCluster)
	case *statev1.Command_PutMember:
		return x.updateMember(op.PutMember)
	case *statev1.Command_RemoveMember:
		return x.removeMember(op.RemoveMember)
	case *statev1.Command_SetMemberVoting:
		return x.setMemberVoting(op.SetMemberVoting)
	case *statev1.Command_PutToken:
		return x.putToken(op.PutToken)
	case *statev1.Command_RedeemToken:
		return x.redeemToken(op.RedeemToken)
	case *statev1.Command_DeleteToken:
		return x.deleteToken(op.DeleteToken)
	case *statev1.Command_PutImage:
		return x.putImage(op.PutImage)
	case *statev1.Command_DeleteImage:
		return x.deleteImage(op.DeleteImage)
	case *statev1.Command_PutTemplate:
		return x.putTemplate(op.PutTemplate)
	case *statev1.Command_DeleteTemplate:
		return x.deleteTemplate(op.DeleteTemplate)
	case *statev1.Command_PutNetwork:
		return x.putNetwork(op.PutNetwork)
	case *statev1.Command_DeleteNetwork:
		return x.deleteNetwork(op.DeleteNetwork)
	case *statev1.Command_PutSecurityGroup:
		return x.putSecurityGroup(op.PutSecurityGroup)
	case *statev1.Command_DeleteSecurityGroup:
		return x.deleteSecurityGroup(op.DeleteSecurityGroup)
	case *statev1.Command_ObserveHost:
		return x.observeHost(op.ObserveHost)
	case *statev1.Command_CreateVm:
		return x.createVM(op.CreateVm)
	case *statev1.Command_SetVmPower:
		return x.setVMPower(op.SetVmPower)
	case *statev1.Command_AdoptVm:
		return x.adoptVM(op.AdoptVm)
	case *statev1.Command_UpdateVm:
		return x.updateVM(op.UpdateVm)
	case *statev1.Command_ReshapeVm:
		return x.reshapeVM(op.ReshapeVm)
	case *statev1.Command_ChangeVmMedia:
		return x.changeVMMedia(op.ChangeVmMedia)
	case *statev1.Command_RestartVm:
		return x.restartVM(op.RestartVm)
	case *statev1.Command_DeleteVm:
		return x.deleteVM(op.DeleteVm)
	case *statev1.Command_BindVms:
		return x.bindVMs(op.BindVms)
	case *statev1.Command_RefuseVm:
		return x.refuseVM(op.RefuseVm)
	case *statev1.Command_ObserveVms:
		return x.observeVMs(op.ObserveVms)
	case *statev1.Command_SetHostDraining:
		return x.setHostDraining(op.SetHostDraining)
	case *statev1.Command_EvacuateVms:
		return x.evacuateVMs(op.EvacuateVms)
	case *statev1.Command_CreateVolume:
		return x.createVolume(op.CreateVolume)
	case *statev1.Command_ResizeVolume:
		return x.resizeVolume(op.ResizeVolume)
	case *statev1.Command_DeleteVolume:
		return x.deleteVolume(op.DeleteVolume)
	case *statev1.Command_ObserveVolumes:
		return x.observeVolumes(op.ObserveVolumes)
	}
	return x.applyMetrics(command)
}

// applyMetrics carries out the commands on sources and definitions of metrics.
func (x *txn) applyMetrics(command *statev1.Command) (proto.Message, error) {
	switch op := command.GetOp().(type) {
	case *statev1.Command_PutMetricSource:
		return x.putMetricSource(op.PutMetricSource)
	case *statev1.Command_DeleteMetricSource:
		return x.deleteMetricSource(op.DeleteMetricSource)
	case *statev1.Command_AssignMetricSources:
		return x.assignMetricSources(op.AssignMetricSources)
	case *statev1.Command_EndMetricAssignments:
		return x.endMetricAssignments(op.EndMetricAssignments)
	case *statev1.Command_ReleaseMetricSources:
		return x.releaseMetricSources(op.ReleaseMetricSources)
	case *statev1.Command_ObserveMetricSources:
		return x.observeMetricSources(op.ObserveMetricSources)
	case *statev1.Command_PutMetricDefinition:
		return x.putMetricDefinition(op.PutMetricDefinition)
	case *statev1.Command_DeleteMetricDefinition:
		return x.deleteMetricDefinition(op.DeleteMetricDefinition)
	case *statev1.Command_PutMetricForward:
		return x.putMetricForward(op.PutMetricForward)
	case *statev1.Command_DeleteMetricForward:
		return x.deleteMetricForward(op.DeleteMetricForward)
	case *statev1.Command_PutMetricLimits:
		return x.putMetricLimits(op.PutMetricLimits)
	case *statev1.Command_ShareMetricSeries:
		return x.shareMetricSeries(op.ShareMetricSeries)
	default:
		return nil, errUpgrade("command at revision %d is of a kind not known here", x.revision)
	}
}

// changed records a change for the watchers.
func (x *txn) changed(before, after proto.Message) {
	x.changes = append(x.changes, Change{Revision: x.revision, Before: before, After: after})
}

func (x *txn) putMember(member *novacronv1.Member) *novacronv1.Member {
	before, existed := x.t.members.get(member.GetId())
	member.Revision = x.revision
	x.t.members.put(member.GetId(), member)
	x.changed(orNil(before, existed), member)
	return member
}

func (x *txn) putHost(host *statev1.HostRecord) *statev1.HostRecord {
	before, existed := x.t.hosts.get(host.GetId())
	host.Revision, host.LastChangeTime = x.revision, x.now
	x.t.hosts.put(host.GetId(), host)
	x.changed(orNil(before, existed), host)
	return host
}

func (x *txn) putVM(vm *novacronv1.VM) *novacronv1.VM {
	before, existed := x.t.vms.get(vm.GetId())
	if existed {
		x.t.dropVM(before)
	}
	vm.Revision = x.revision
	x.t.putVM(vm)
	x.changed(orNil(before, existed), vm)
	return vm
}

func (x *txn) dropVM(vm *novacronv1.VM) {
	x.t.dropVM(vm)
	x.changed(vm, nil)
}

// orNil keeps a typed nil pointer from looking like a record.
func orNil[M proto.Message](m M, ok bool) proto.Message {
	if !ok {
		return nil
	}
	return m
}

// edit returns a copy that may be changed and put.
func edit[M proto.Message](m M) M { return proto.CloneOf(m) }
