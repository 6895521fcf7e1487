package state

import (
	"fmt"
	"iter"
	"net/netip"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// putNetwork names a network. The same definition again is a retry; another one is refused, and so is a subnet that
// meets that of another network.
func (x *txn) putNetwork(op *statev1.PutNetwork) (proto.Message, error) {
	spec := op.GetSpec()
	if before, ok := x.t.networks.get(spec.GetName()); ok {
		if proto.Equal(before.GetSpec(), spec) {
			return before, nil
		}
		return nil, fmt.Errorf("%w: network %q is there with another definition: choose another name, or delete it first", ErrExists, spec.GetName())
	}
	for _, other := range x.t.networks.after("") {
		if overlap(spec.GetSubnet(), other.GetSpec().GetSubnet()) {
			return nil, fmt.Errorf("%w: subnet: %s meets %s of network %q: choose another", ErrExists, spec.GetSubnet(), other.GetSpec().GetSubnet(), other.GetSpec().GetName())
		}
	}
	if vm := x.t.userOf(func(nic *novacronv1.NetworkInterfaceSpec) bool { return nic.GetNetwork() == spec.GetName() }); vm != nil {
		return nil, fmt.Errorf("%w: virtual machine %s is on a network %q that its host has by itself: choose another name", ErrRefused, vm.GetSpec().GetName(), spec.GetName())
	}
	network := &novacronv1.Network{Spec: spec, CreateTime: x.now, Revision: x.revision}
	x.t.networks.put(spec.GetName(), network)
	x.changed(nil, network)
	return network, nil
}

func overlap(a, b string) bool {
	one, err := netip.ParsePrefix(a)
	other, errOther := netip.ParsePrefix(b)
	return err == nil && errOther == nil && one.Overlaps(other)
}

func (x *txn) deleteNetwork(op *statev1.DeleteNetwork) (proto.Message, error) {
	network, ok := x.t.networks.get(op.GetName())
	if !ok {
		return nil, fmt.Errorf("%w: network %q", ErrNotFound, op.GetName())
	}
	if vm := x.t.userOf(func(nic *novacronv1.NetworkInterfaceSpec) bool { return nic.GetNetwork() == op.GetName() }); vm != nil {
		return nil, fmt.Errorf("%w: network %q is used by virtual machine %s: delete that first", ErrRefused, op.GetName(), vm.GetSpec().GetName())
	}
	x.t.networks.delete(op.GetName())
	x.changed(network, nil)
	return network, nil
}

func (x *txn) putSecurityGroup(op *statev1.PutSecurityGroup) (proto.Message, error) {
	spec := op.GetSpec()
	before, existed := x.t.groups.get(spec.GetName())
	switch {
	case existed && proto.Equal(before.GetSpec(), spec):
		return before, nil
	case existed && !op.GetReplace():
		return nil, fmt.Errorf("%w: security group %q has other rules: choose another name, or update it", ErrExists, spec.GetName())
	case !existed && op.GetReplace():
		return nil, fmt.Errorf("%w: security group %q: create it first", ErrNotFound, spec.GetName())
	}
	group := &novacronv1.SecurityGroup{Spec: spec, CreateTime: x.now, Revision: x.revision}
	if existed {
		group.CreateTime = before.GetCreateTime()
	}
	x.t.groups.put(spec.GetName(), group)
	x.changed(orNil(before, existed), group)
	return group, nil
}

func (x *txn) deleteSecurityGroup(op *statev1.DeleteSecurityGroup) (proto.Message, error) {
	group, ok := x.t.groups.get(op.GetName())
	if !ok {
		return nil, fmt.Errorf("%w: security group %q", ErrNotFound, op.GetName())
	}
	if vm := x.t.userOf(func(nic *novacronv1.NetworkInterfaceSpec) bool { return nic.GetSecurityGroup() == op.GetName() }); vm != nil {
		return nil, fmt.Errorf("%w: security group %q is used by virtual machine %s: delete that first", ErrRefused, op.GetName(), vm.GetSpec().GetName())
	}
	x.t.groups.delete(op.GetName())
	x.changed(group, nil)
	return group, nil
}

// userOf finds a machine with a card that fits, or nil.
func (t *tables) userOf(fits func(*novacronv1.NetworkInterfaceSpec) bool) *novacronv1.VM {
	for _, vm := range t.vms.after("") {
		for _, nic := range vm.GetSpec().GetNetworkInterfaces() {
			if fits(nic) {
				return vm
			}
		}
	}
	return nil
}

// addressKey sorts the addresses of a network in their order.
func addressKey(network, address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return network + "\x00" + address
	}
	return fmt.Sprintf("%s\x00%x", network, addr.AsSlice())
}

// putAddresses and dropAddresses keep the index of addresses in step.
func (t *tables) putAddresses(vm *novacronv1.VM) {
	for _, nic := range vm.GetSpec().GetNetworkInterfaces() {
		if nic.GetAddress() != "" {
			t.vmByAddress.put(addressKey(nic.GetNetwork(), nic.GetAddress()), vm.GetId())
		}
	}
}

func (t *tables) dropAddresses(vm *novacronv1.VM) {
	for _, nic := range vm.GetSpec().GetNetworkInterfaces() {
		if nic.GetAddress() != "" {
			t.vmByAddress.delete(addressKey(nic.GetNetwork(), nic.GetAddress()))
		}
	}
}

// connectable tells whether a new machine's cards may have what they ask for.
func (x *txn) connectable(op *statev1.CreateVM) error {
	for _, name := range op.GetSecurityGroups() {
		if _, ok := x.t.groups.get(name); !ok {
			return fmt.Errorf("%w: security group %q was deleted meanwhile: try again", ErrStale, name)
		}
	}
	return x.bookable(op.GetSpec())
}

// bookable tells whether the addresses that cards ask for are free.
func (x *txn) bookable(spec *novacronv1.VMSpec) error {
	asked := map[string]int{}
	for i, nic := range spec.GetNetworkInterfaces() {
		if nic.GetAddress() == "" {
			continue
		}
		path, key := fmt.Sprintf("networkInterfaces[%d].address", i), addressKey(nic.GetNetwork(), nic.GetAddress())
		if _, ok := x.t.networks.get(nic.GetNetwork()); !ok {
			return fmt.Errorf("%w: %s: %s is asked for on %q, which is no network of the cluster: leave it out", ErrInvalid, path, nic.GetAddress(), nic.GetNetwork())
		}
		if other, taken := x.t.vmByAddress.get(key); taken {
			return fmt.Errorf("%w: %s: %s on network %q belongs to virtual machine %s: choose another, or leave it out", ErrExists, path, nic.GetAddress(), nic.GetNetwork(), x.t.nameOf(other))
		}
		if first, twice := asked[key]; twice {
			return fmt.Errorf("%w: %s: %s is asked for by networkInterfaces[%d] too: choose another", ErrInvalid, path, nic.GetAddress(), first)
		}
		asked[key] = i
	}
	return nil
}

// connect returns the definition with an address for every card on a network that assigns them.
func (x *txn) connect(spec *novacronv1.VMSpec) (*novacronv1.VMSpec, error) {
	after, taken := edit(spec), map[string]bool{}
	for _, nic := range after.GetNetworkInterfaces() {
		if nic.GetAddress() != "" {
			taken[addressKey(nic.GetNetwork(), nic.GetAddress())] = true
		}
	}
	for i, nic := range after.GetNetworkInterfaces() {
		network, ok := x.t.networks.get(nic.GetNetwork())
		if !ok || !network.GetSpec().GetAssign() || nic.GetAddress() != "" {
			continue
		}
		free, ok := x.t.freeAddress(network.GetSpec(), taken)
		if !ok {
			return nil, fmt.Errorf("%w: networkInterfaces[%d]: network %q has no free address from %s to %s: delete machines that are not needed, or use another network",
				ErrRefused, i, nic.GetNetwork(), network.GetSpec().GetRangeStart(), network.GetSpec().GetRangeEnd())
		}
		nic.Address = proto.String(free)
		taken[addressKey(nic.GetNetwork(), free)] = true
	}
	return after, nil
}

// freeAddress is the lowest address of the range that nobody has.
func (t *tables) freeAddress(spec *novacronv1.NetworkSpec, taken map[string]bool) (string, bool) {
	addr, err := netip.ParseAddr(spec.GetRangeStart())
	last, errLast := netip.ParseAddr(spec.GetRangeEnd())
	if err != nil || errLast != nil {
		return "", false
	}
	for ; addr.IsValid() && addr.Compare(last) <= 0; addr = addr.Next() {
		key := addressKey(spec.GetName(), addr.String())
		if _, used := t.vmByAddress.get(key); !used && !taken[key] && addr.String() != spec.GetGateway() {
			return addr.String(), true
		}
	}
	return "", false
}

// Network finds a network of the cluster by name.
func (v View) Network(name string) (*novacronv1.Network, bool) { return v.t.networks.get(name) }

// Networks yields the networks with names above start, by name.
func (v View) Networks(start string) iter.Seq2[string, *novacronv1.Network] {
	return v.t.networks.after(start)
}

// SecurityGroup finds a security group by name.
func (v View) SecurityGroup(name string) (*novacronv1.SecurityGroup, bool) {
	return v.t.groups.get(name)
}

// SecurityGroups yields the security groups with names above start, by name.
func (v View) SecurityGroups(start string) iter.Seq2[string, *novacronv1.SecurityGroup] {
	return v.t.groups.after(start)
}
