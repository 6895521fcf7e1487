package azuremonitor

import (
	"strings"

	"github.com/novacron/novacron/agent/collect"
)

// knowledge says what one collection has found out: of a series that is not there, whether that is known or only not read.
type knowledge struct {
	// lists are those that could be read, by subscription and type; states those of the states.
	lists, states map[string]bool
	// unsized are the machines whose size could not be looked up.
	unsized map[string]bool
	// there are the resources on the lists.
	there map[string]bool
	// open are the queries of a resource that were not answered, by the metrics that they would have told.
	open map[string]int
}

func newKnowledge() knowledge {
	return knowledge{lists: map[string]bool{}, states: map[string]bool{}, unsized: map[string]bool{}, there: map[string]bool{}, open: map[string]int{}}
}

// ownerOf is the resource of a series by its labels.
func ownerOf(labels map[string]string) string {
	if id := labels["vm_id"]; id != "" {
		return id
	}
	return labels["resource_id"]
}

func (k knowledge) listed(subscription, resourceType string, ok bool) {
	k.lists[subscription+"|"+resourceType] = ok
}

func (k knowledge) stated(subscription string, ok bool) { k.states[subscription] = ok }

func (k knowledge) present(r *resource) { k.there[ownerOf(r.labels)] = true }

func (k knowledge) asked(i item) { k.count(i, 1) }

func (k knowledge) answered(i item) { k.count(i, -1) }

func (k knowledge) count(i item, by int) {
	names := map[string]bool{}
	for _, r := range i.query.rows {
		names[r.name] = true
	}
	for name := range names {
		k.open[ownerOf(i.resource.labels)+"|"+name] += by
	}
}

// factNames are the metrics that the inventory tells; those with true take the state of a machine.
var factNames = map[string]bool{
	"vm_state": true, "vm_start_time_seconds": true, "vm_uptime_seconds": true, "vm_vcpus": false, "vm_memory_limit_bytes": false,
	"vm_info": false, "vm_tags": false, "vm_disk_capacity_bytes": false, "vm_disk_info": false, "vm_network_info": false,
}

// conclusive tells whether a series that is not there has ended.
func (k knowledge) conclusive(m collect.Metric) bool {
	subscription := m.Labels["cloud_account_id"]
	owner := ownerOf(m.Labels)
	list := subscription + "|"
	if m.Labels["vm_id"] == "" {
		list += typeOf(owner)
	}
	listed, wanted := k.lists[list]
	switch {
	case !wanted: // it was collected by an earlier definition
		return true
	case k.unsized[owner] && (m.Name == "vm_vcpus" || m.Name == "vm_memory_limit_bytes"):
		return false
	}
	if !k.there[owner] {
		return listed
	}
	stateful, isFact := factNames[m.Name]
	if isFact {
		return listed && (!stateful || k.states[subscription])
	}
	return k.open[owner+"|"+m.Name] == 0
}

// typeOf is the type of a resource by its id: namespace and names without the resources' own.
func typeOf(id string) string {
	_, provider, found := strings.Cut(id, "/providers/")
	if !found {
		return ""
	}
	parts := strings.Split(provider, "/")
	kind := parts[:1]
	for i := 1; i < len(parts); i += 2 {
		kind = append(kind, parts[i])
	}
	return strings.Join(kind, "/")
}
