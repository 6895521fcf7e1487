package state

import (
	"bufio"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// Merge writes, as a snapshot, what a restore makes of a backup: intent comes from the backup, facts stay as they are
// today. Facts are who is a member and who was removed, which tokens there are, what hosts report, which host owns a
// machine or collects from a source, that its deletion has begun, and what has happened. Revisions go on from today's, so that no watcher takes the restore for the
// past; generations too, so that hosts look at the restored intent again.
func Merge(w io.Writer, backup io.Reader, today View) error {
	merged, err := read(bufio.NewReader(backup))
	if err != nil {
		return fmt.Errorf("merge a backup: %w", err)
	}
	facts := today.t.clone()
	merged.clusterID, merged.revision = facts.clusterID, max(merged.revision, facts.revision)+1
	merged.members, merged.hosts, merged.tokens = facts.members, facts.hosts, facts.tokens
	merged.events, merged.eventsFloor = facts.events, facts.eventsFloor
	for id, node := range facts.revoked.after("") {
		merged.revoked.put(id, node)
	}
	for id := range facts.members.after("") {
		merged.revoked.delete(id)
	}
	x := txn{t: &merged, revision: merged.revision}
	for _, vm := range tableValues(merged.vms) {
		x.reviveVM(vm, &facts)
	}
	for _, volume := range tableValues(merged.volumes) {
		x.reviveVolume(volume, &facts)
	}
	x.reviveSources(&facts)
	x.reviveForwards(&facts)
	x.reviveLimits(&facts)
	return View{t: merged}.Write(w)
}

func tableValues[V any](t table[V]) (values []V) {
	for _, value := range t.after("") {
		values = append(values, value)
	}
	return values
}

// reviveVM brings a machine of a backup in line with the facts about it.
func (x *txn) reviveVM(saved *novacronv1.VM, facts *tables) {
	after := edit(saved)
	after.EvacuateTime = nil
	if now, alive := facts.vms.get(saved.GetId()); alive {
		if proto.Equal(now, saved) {
			return
		}
		after.HostId, after.HostName, after.Epoch, after.Status = now.GetHostId(), now.GetHostName(), now.GetEpoch(), now.GetStatus()
		after.HostCpus = now.GetHostCpus()
		if Bound(after) == "" { // the host has its order to let go; what a restored disk needs must not be let go
			after.EvacuateTime = now.GetEvacuateTime()
		}
		after.Generation = max(now.GetGeneration(), saved.GetGeneration()) + 1
		after.Operation = edit(saved.GetOperation())
		if after.GetOperation() != nil {
			after.Operation.Generation = after.GetGeneration()
		}
		if now.GetDeleteTime() != nil {
			after.DeleteTime, after.DesiredPower, after.Force, after.Operation = now.GetDeleteTime(), now.GetDesiredPower(), now.GetForce(), now.GetOperation()
		}
	}
	x.putVM(after)
	if _, owned := x.t.hosts.get(after.GetHostId()); after.GetHostId() != "" && !owned {
		x.abandon(&novacronv1.Member{Id: after.GetHostId(), Name: after.GetHostName()})
	}
}
