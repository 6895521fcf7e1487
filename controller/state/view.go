package state

import (
	"iter"
	"time"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// View is the whole state at one revision. Its records are shared: read them, never change them.
type View struct {
	t        tables
	restores uint64
}

// Revision is the revision of the view.
func (v View) Revision() uint64 { return v.t.revision }

// Cursor continues with what changes after the view.
func (v View) Cursor() Cursor { return Cursor{revision: v.t.revision, restores: v.restores} }

// ClusterID is empty until the cluster has been initialised.
func (v View) ClusterID() string { return v.t.clusterID }

// Member finds a member by id or by name.
func (v View) Member(idOrName string) (*novacronv1.Member, bool) { return v.t.member(idOrName) }

// Members yields all members by id.
func (v View) Members() iter.Seq2[string, *novacronv1.Member] { return v.t.members.after("") }

// RevokedSince lists the nodes that were removed after a time.
func (v View) RevokedSince(since time.Time) (ids []string) {
	for id, node := range v.t.revoked.after("") {
		if node.GetTime().AsTime().After(since) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Token finds a join token by id.
func (v View) Token(id string) (*statev1.TokenRecord, bool) { return v.t.tokens.get(id) }

// Tokens yields all join tokens by id.
func (v View) Tokens() iter.Seq2[string, *statev1.TokenRecord] { return v.t.tokens.after("") }

// Image finds an image by name.
func (v View) Image(name string) (*novacronv1.Image, bool) { return v.t.images.get(name) }

// Images yields the images with names above start, by name.
func (v View) Images(start string) iter.Seq2[string, *novacronv1.Image] {
	return v.t.images.after(start)
}

// Host finds a host by id or by name, as its API form.
func (v View) Host(idOrName string) (*novacronv1.Host, bool) {
	member, ok := v.t.member(idOrName)
	if !ok {
		return nil, false
	}
	record, ok := v.t.hosts.get(member.GetId())
	if !ok {
		return nil, false
	}
	return v.host(record), true
}

// Hosts yields the hosts with ids above start, by id, as their API form.
func (v View) Hosts(start string) iter.Seq2[string, *novacronv1.Host] {
	return func(yield func(string, *novacronv1.Host) bool) {
		for id, record := range v.t.hosts.after(start) {
			if !yield(id, v.host(record)) {
				return
			}
		}
	}
}

func (v View) host(record *statev1.HostRecord) *novacronv1.Host {
	allocated, count := v.t.allocated(record.GetId())
	member, _ := v.t.members.get(record.GetId())
	return &novacronv1.Host{
		Id: record.GetId(), Name: member.GetName(), State: record.GetState(), Info: record.GetInfo(),
		Allocated: allocated, Vms: count, LastChangeTime: record.GetLastChangeTime(), Revision: record.GetRevision(),
		Draining: record.GetDraining(),
	}
}

// VM finds a virtual machine by id, or by name within a project.
func (v View) VM(idOrName, project string) (*novacronv1.VM, bool) {
	if vm, ok := v.t.vms.get(idOrName); ok && (project == "" || vm.GetSpec().GetProject() == project) {
		return vm, true
	}
	id, ok := v.t.vmByName.get(nameKey(project, idOrName))
	if !ok {
		return nil, false
	}
	return v.t.vms.get(id)
}

// VMWithMAC finds the virtual machine with a MAC address.
func (v View) VMWithMAC(mac string) (*novacronv1.VM, bool) {
	id, ok := v.t.vmByMAC.get(mac)
	if !ok {
		return nil, false
	}
	return v.t.vms.get(id)
}

// VMs yields the virtual machines with ids above start, by id.
func (v View) VMs(start string) iter.Seq2[string, *novacronv1.VM] { return v.t.vms.after(start) }

// VMsByName yields the virtual machines of a project, or of all, with name keys above start, in the order of project
// and name. The key of a row is what start takes.
func (v View) VMsByName(start string) iter.Seq2[string, *novacronv1.VM] {
	return func(yield func(string, *novacronv1.VM) bool) {
		for key, id := range v.t.vmByName.after(start) {
			if vm, ok := v.t.vms.get(id); ok && !yield(key, vm) {
				return
			}
		}
	}
}

// VMsOf yields the virtual machines that a host owns, by id.
func (v View) VMsOf(hostID string) iter.Seq[*novacronv1.VM] { return v.t.vmsOf(hostID) }

// Unplaced yields the virtual machines that wait for a host, by id.
func (v View) Unplaced() iter.Seq[*novacronv1.VM] {
	return func(yield func(*novacronv1.VM) bool) {
		for id := range v.t.unplaced.after("") {
			if vm, ok := v.t.vms.get(id); ok && !yield(vm) {
				return
			}
		}
	}
}

// Request finds the virtual machine that a request id created.
func (v View) Request(requestID string) (*novacronv1.VM, bool) {
	record, ok := v.t.requests.get(requestID)
	if !ok {
		return nil, false
	}
	return v.t.vms.get(record.GetVmId())
}
