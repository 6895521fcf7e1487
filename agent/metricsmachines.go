package agent

import (
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/tsdb"
)

// machineStates are the canonical states that a hypervisor tells; each machine is in one.
var machineStates = []string{"running", "paused", "stopped", "crashed", "unknown"}

// canonicalState is a domain's state by the name that machines of all providers share.
func canonicalState(s hypervisor.State) string {
	switch s {
	case hypervisor.StateRunning:
		return "running"
	case hypervisor.StatePaused:
		return "paused"
	case hypervisor.StateStopped:
		return "stopped"
	case hypervisor.StateCrashed:
		return "crashed"
	}
	return "unknown"
}

// machines are the states of this cluster's machines, and how many there are in each.
func (m *meter) machines(now time.Time, observed []hypervisor.Observed) []tsdb.Metric {
	var metrics []tsdb.Metric
	count := map[string]float64{}
	for i := range observed {
		if !observed[i].Ours {
			continue
		}
		state := canonicalState(observed[i].State)
		count[state]++
		metrics = append(metrics, m.machine(now, &observed[i], state)...)
	}
	for _, state := range machineStates {
		total := gauge("host_vms", now, count[state])
		total.Labels = map[string]string{"state": state}
		metrics = append(metrics, m.labelled(total))
	}
	return metrics
}

// machine is the state of one machine, as a set of which exactly one is 1, and whether it can answer.
func (m *meter) machine(now time.Time, o *hypervisor.Observed, state string) []tsdb.Metric {
	labels := func(more ...string) map[string]string {
		l := map[string]string{"cloud_provider": "kvm", "cloud_account_id": m.settings.cluster, "vm_id": o.ID, "vm_name": o.Name, "host": m.settings.host, "source": "libvirt"}
		for i := 0; i+1 < len(more); i += 2 {
			l[more[i]] = more[i+1]
		}
		return l
	}
	available := gauge("vm_available", now, one(state == "running"))
	available.Labels = labels()
	metrics := []tsdb.Metric{available}
	for _, possible := range machineStates {
		metric := gauge("vm_state", now, one(possible == state))
		metric.Labels = labels("state", possible)
		metrics = append(metrics, metric)
	}
	return metrics
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
