package vm

import "net/netip"

// nicAddress checks what can be known of an address without its network.
func (c *checker) nicAddress(path string, n NetworkInterface) {
	if n.Address == "" {
		return
	}
	addr, err := netip.ParseAddr(n.Address)
	switch {
	case err != nil || !addr.Is4() || addr.IsUnspecified() || addr.IsMulticast():
		c.add(path+".address", n.Address, "an IPv4 address such as 10.0.0.10", "leave it out and one is chosen where the network assigns addresses")
	case n.Bridge != "" || n.User:
		c.add(path+".address", n.Address, "an address on a network of the cluster", "name a network of «novacron network list» instead of a bridge")
	}
}

// CheckName tells whether name may name something of a cluster, such as a network. The error is Faults of path.
func CheckName(path, name string) error {
	c := &checker{}
	if !nameForm.MatchString(name) {
		c.add(path, name, "1 to 63 of A-Z a-z 0-9 -, no - at either end", "choose another name")
	}
	return c.faults.Err()
}
