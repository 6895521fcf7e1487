package agent

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

const (
	// networkResync is how often the networks are compared without an occasion.
	networkResync = 15 * time.Second
	// networkTimeout bounds one comparison with what follows from it.
	networkTimeout = time.Minute
)

// networks brings the host's networks and packet filters to what the cluster wants, and has machines wait for theirs.
type networks struct {
	keeper *hypervisor.NetworkKeeper
	// refresh has the host looked at again, for those who check machines against it.
	refresh func(context.Context) (hypervisor.HostFacts, error)
	logger  *slog.Logger
	changed func()
	wake    chan struct{}
	// turn is taken by whoever compares.
	turn chan struct{}

	mu       sync.Mutex
	revision uint64
	known    bool
	plan     hypervisor.NetworkPlan
	// wanted counts the plans, done is the last that was carried out as far as it goes.
	wanted, done uint64
	faults       hypervisor.NetworkFaults
}

func newNetworks(keeper *hypervisor.NetworkKeeper, refresh func(context.Context) (hypervisor.HostFacts, error), changed func(), logger *slog.Logger) *networks {
	return &networks{keeper: keeper, refresh: refresh, logger: logger, changed: changed, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
}

// setDesired takes what a desired set says of networks. One that is older than what is known, or says nothing, is
// ignored.
func (n *networks) setDesired(revision uint64, set *agentv1.DesiredSet) {
	if set.GetNetworks() == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known && revision < n.revision {
		return
	}
	n.revision, n.known, n.plan = revision, true, planOf(set)
	n.wanted++
	select {
	case n.wake <- struct{}{}:
	default: // it is awake already
	}
}

// planOf also gathers the addresses of the machines' cards.
func planOf(set *agentv1.DesiredSet) hypervisor.NetworkPlan {
	plan := hypervisor.NetworkPlan{Leases: map[string][]hypervisor.Lease{}}
	served := map[string]bool{}
	for _, network := range set.GetNetworks().GetNetworks() {
		spec := network.GetSpec()
		plan.Networks = append(plan.Networks, spec)
		served[spec.GetName()] = spec.GetMode() != novacronv1.NetworkMode_NETWORK_MODE_BRIDGE && spec.GetSubnet() != ""
	}
	for _, group := range set.GetNetworks().GetSecurityGroups() {
		plan.Groups = append(plan.Groups, group.GetSpec())
	}
	vms := slices.SortedFunc(slices.Values(set.GetVms()), func(a, b *novacronv1.VM) int { return strings.Compare(a.GetId(), b.GetId()) })
	for _, machine := range vms {
		for _, nic := range machine.GetSpec().GetNetworkInterfaces() {
			if on := nic.GetNetwork(); served[on] && nic.GetAddress() != "" {
				plan.Leases[on] = append(plan.Leases[on], leaseOf(machine, nic, plan.Leases[on]))
			}
		}
	}
	return plan
}

// leaseOf has the machine's name unless another card on the network has it: DHCP gives a name to one card.
func leaseOf(machine *novacronv1.VM, nic *novacronv1.NetworkInterfaceSpec, others []hypervisor.Lease) hypervisor.Lease {
	lease := hypervisor.Lease{MAC: nic.GetMac(), Address: nic.GetAddress(), Name: machine.GetSpec().GetName()}
	if slices.ContainsFunc(others, func(l hypervisor.Lease) bool { return l.Name == lease.Name }) {
		lease.Name = ""
	}
	return lease
}

// run compares at every new plan and now and then, until the context ends.
func (n *networks) run(ctx context.Context) {
	ticker := time.NewTicker(networkResync)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-n.wake:
		}
		if err := n.sync(ctx, true); err != nil && ctx.Err() == nil {
			n.logger.Warn("the host's networks cannot be compared; tried again", "error", err)
		}
	}
}

// sync carries the newest plan out, unless that was done and nobody insists.
func (n *networks) sync(ctx context.Context, insist bool) error {
	ctx, cancel := context.WithTimeout(ctx, networkTimeout)
	defer cancel()
	select {
	case n.turn <- struct{}{}:
		defer func() { <-n.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	n.mu.Lock()
	plan, wanted, fresh := n.plan, n.wanted, n.done < n.wanted
	due := n.known && (insist || fresh)
	n.mu.Unlock()
	if !due {
		return nil
	}
	faults, err := n.keeper.Sync(ctx, plan)
	if err != nil {
		return err
	}
	if fresh {
		if _, err := n.refresh(ctx); err != nil {
			return err
		}
	}
	n.outcome(wanted, faults)
	return nil
}

// outcome keeps what came of a plan, and tells when that is news.
func (n *networks) outcome(wanted uint64, faults hypervisor.NetworkFaults) {
	n.mu.Lock()
	defer n.mu.Unlock()
	news := n.done < wanted || len(faults) != len(n.faults)
	for what, err := range faults {
		before := n.faults[what]
		if before == nil || before.Error() != err.Error() {
			n.logger.Warn("not as it shall be", "what", what, "error", err)
			news = true
		}
	}
	n.done, n.faults = max(n.done, wanted), faults
	if news {
		n.changed()
	}
}

// prepare makes sure that a machine that is about to start finds its networks, its addresses and its packet filters.
func (n *networks) prepare(ctx context.Context, machine *novacronv1.VM) error {
	if err := n.sync(ctx, false); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	definition := vm.FromProto(machine.GetSpec())
	return n.faults.Of(&definition)
}

// report gives the faults in words.
func (n *networks) report() map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var words map[string]string
	for what, err := range n.faults {
		if words == nil {
			words = map[string]string{}
		}
		words[what] = err.Error()
	}
	return words
}
