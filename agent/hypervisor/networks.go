package hypervisor

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// NetworkPlan is everything about networks that a host shall have.
type NetworkPlan struct {
	Networks []*novacronv1.NetworkSpec
	Groups   []*novacronv1.SecurityGroupSpec
	// Leases are the addresses of cards, by the name of their network.
	Leases map[string][]Lease
}

// NetworkFaults are networks and security groups that could not be made as they shall be, as "network/NAME" and
// "security-group/NAME".
type NetworkFaults map[string]error

// NetworkKeeper brings the networks and packet filters of one cluster on a host to what a plan says. Foreign ones are
// never touched. It may be asked again at any time: what is as it shall be is left alone. One call at a time.
type NetworkKeeper struct {
	driver    Driver
	clusterID string
	log       *slog.Logger
	// filters are the definitions that are known to be in force, by name.
	filters map[string]string
}

// NewNetworkKeeper returns a keeper, which has touched nothing yet.
func NewNetworkKeeper(driver Driver, clusterID string, log *slog.Logger) *NetworkKeeper {
	return &NetworkKeeper{driver: driver, clusterID: clusterID, log: log, filters: map[string]string{}}
}

// Sync makes it so, as far as it goes. The error is a host that cannot be looked at.
func (k *NetworkKeeper) Sync(ctx context.Context, plan NetworkPlan) (NetworkFaults, error) {
	networks, err := k.driver.Networks(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the networks: %w", err)
	}
	filters, err := k.driver.Filters(ctx)
	if err != nil && !errors.Is(err, ErrUnsupported) {
		return nil, fmt.Errorf("list the packet filters: %w", err)
	}
	faults := NetworkFaults{}
	for _, group := range plan.Groups { // before the networks: guests wait for both
		faults.note("security-group/"+group.GetName(), k.keepFilter(ctx, group, filters))
	}
	wanted := map[string]bool{}
	for _, spec := range plan.Networks {
		wanted[spec.GetName()] = true
		faults.note("network/"+spec.GetName(), k.keepNetwork(ctx, spec, plan.Leases[spec.GetName()], networks))
	}
	for _, n := range networks {
		if _, ours := k.mark(n); ours && !wanted[n.Name] {
			faults.note("network/"+n.Name, k.dropNetwork(ctx, n))
		}
	}
	k.dropFilters(ctx, plan.Groups, filters, faults)
	return faults, ctx.Err()
}

func (f NetworkFaults) note(what string, err error) {
	if err != nil {
		f[what] = err
	}
}

// mark reads our element of a network, and tells whether the network is this cluster's.
func (k *NetworkKeeper) mark(n Network) (networkMark, bool) {
	mark, ok := readMark(n.Metadata)
	return mark, ok && mark.Cluster == k.clusterID && n.ID == NetworkID(k.clusterID, n.Name)
}

func (k *NetworkKeeper) keepNetwork(ctx context.Context, spec *novacronv1.NetworkSpec, leases []Lease, there []Network) error {
	at := slices.IndexFunc(there, func(n Network) bool { return n.Name == spec.GetName() })
	if at < 0 {
		return k.makeNetwork(ctx, spec, leases)
	}
	n := there[at]
	mark, ours := k.mark(n)
	switch {
	case !ours:
		return fmt.Errorf("the host has another network %s: %w; rename or remove that one there, or name the cluster's differently", n.Name, ErrForeign)
	case mark.Spec != specHash(spec):
		return k.remakeNetwork(ctx, spec, leases, n)
	}
	if !n.Active || !n.Autostart {
		k.log.Info("network starts", "network", n.Name)
		if err := k.driver.StartNetwork(ctx, n.ID); err != nil {
			return err
		}
	}
	return k.keepLeases(ctx, n, leases)
}

func (k *NetworkKeeper) makeNetwork(ctx context.Context, spec *novacronv1.NetworkSpec, leases []Lease) error {
	text, err := NetworkXML(k.clusterID, spec, leases)
	if err != nil {
		return err
	}
	k.log.Info("network is made", "network", spec.GetName())
	if err := k.driver.DefineNetwork(ctx, text); err != nil {
		return err
	}
	return k.driver.StartNetwork(ctx, NetworkID(k.clusterID, spec.GetName()))
}

// remakeNetwork replaces a network by one with another definition. Guests would lose the old one: it waits for them.
func (k *NetworkKeeper) remakeNetwork(ctx context.Context, spec *novacronv1.NetworkSpec, leases []Lease, n Network) error {
	if err := k.dropNetwork(ctx, n); err != nil {
		return err
	}
	return k.makeNetwork(ctx, spec, leases)
}

func (k *NetworkKeeper) dropNetwork(ctx context.Context, n Network) error {
	user, err := k.userOf(ctx, n.Name)
	if err != nil {
		return err
	}
	if user != "" {
		return fmt.Errorf("network %s is not changed or removed while virtual machine %s uses it: %w", n.Name, user, ErrInUse)
	}
	k.log.Info("network is removed", "network", n.Name)
	return ignoreNotFound(k.driver.RemoveNetwork(ctx, n.ID))
}

// userOf names a machine of the host, anybody's, that has a card on a network.
func (k *NetworkKeeper) userOf(ctx context.Context, network string) (string, error) {
	domains, err := k.driver.Domains(ctx)
	if err != nil {
		return "", err
	}
	for _, d := range domains {
		var x struct {
			Networks []struct {
				Name string `xml:"network,attr"`
			} `xml:"devices>interface>source"`
		}
		if err := xml.Unmarshal([]byte(d.XML), &x); err != nil {
			return "", fmt.Errorf("domain %s: %w", d.Name, err)
		}
		for _, on := range x.Networks {
			if on.Name == network {
				return d.Name, nil
			}
		}
	}
	return "", nil
}

// keepLeases takes back addresses first, so that they are free for others.
func (k *NetworkKeeper) keepLeases(ctx context.Context, n Network, leases []Lease) error {
	var errs []error
	for _, l := range n.Leases {
		if !slices.Contains(leases, l) {
			errs = append(errs, k.driver.DropLease(ctx, n.ID, l))
		}
	}
	for _, l := range leases {
		if !slices.Contains(n.Leases, l) {
			errs = append(errs, k.driver.SetLease(ctx, n.ID, l))
		}
	}
	return errors.Join(errs...)
}

func (k *NetworkKeeper) keepFilter(ctx context.Context, group *novacronv1.SecurityGroupSpec, there []Filter) error {
	text, err := FilterXML(k.clusterID, group)
	if err != nil {
		return err
	}
	id := FilterID(k.clusterID, group.GetName())
	at := slices.IndexFunc(there, func(f Filter) bool { return f.Name == group.GetName() })
	switch {
	case at >= 0 && there[at].ID != id:
		return fmt.Errorf("the host has another packet filter %s: %w; rename or remove that one there, or name the group differently", group.GetName(), ErrForeign)
	case at >= 0 && k.filters[group.GetName()] == text:
		return nil
	}
	k.log.Info("packet filter is put in force", "group", group.GetName())
	if err := k.driver.DefineFilter(ctx, text); err != nil {
		return err
	}
	k.filters[group.GetName()] = text
	return nil
}

// dropFilters removes our filters that no machine of the host uses any more. One that a machine still refers to, such as
// one that is just being deleted, goes the next time.
func (k *NetworkKeeper) dropFilters(ctx context.Context, groups []*novacronv1.SecurityGroupSpec, there []Filter, faults NetworkFaults) {
	for _, f := range there {
		wanted := slices.ContainsFunc(groups, func(g *novacronv1.SecurityGroupSpec) bool { return g.GetName() == f.Name })
		if wanted || f.ID != FilterID(k.clusterID, f.Name) {
			continue
		}
		k.log.Info("packet filter is removed", "group", f.Name)
		delete(k.filters, f.Name)
		if err := ignoreNotFound(k.driver.RemoveFilter(ctx, f.ID)); !errors.Is(err, ErrInUse) {
			faults.note("security-group/"+f.Name, err)
		}
	}
}

// Of gives the faults that keep a machine from having what its cards ask for, or nil.
func (f NetworkFaults) Of(def *VMDefinition) error {
	var errs []error
	for _, n := range def.NetworkInterfaces {
		for _, what := range []string{"network/" + n.Network, "security-group/" + n.SecurityGroup} {
			if err := f[what]; err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", strings.Replace(what, "/", " ", 1), err))
			}
		}
	}
	return errors.Join(errs...)
}
