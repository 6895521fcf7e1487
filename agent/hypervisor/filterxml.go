package hypervisor

import (
	"cmp"
	"net"
	"slices"
	"strconv"

	"libvirt.org/go/libvirtxml"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm/network"
)

// Places of rules in a filter; those of the group are numbered from 1 in their order.
const (
	dhcpPlace    = -10
	defaultPlace = 950
	dhcpServer   = 67
	dhcpClient   = 68
)

// FilterID is the UUID of the filter of a cluster's security group.
func FilterID(clusterID, name string) string { return identity(clusterID, "security-group", name) }

// FilterXML writes a security group as a packet filter for libvirt. A card can always get its address by DHCP, and,
// unless the group allows spoofing, sends under its own addresses alone.
func FilterXML(clusterID string, group *novacronv1.SecurityGroupSpec) (string, error) {
	x := libvirtxml.NWFilter{Name: group.GetName(), UUID: FilterID(clusterID, group.GetName()), Chain: "root"}
	if !group.GetAllowSpoofing() {
		x.Entries = append(x.Entries, libvirtxml.NWFilterEntry{Ref: &libvirtxml.NWFilterRef{Filter: "clean-traffic"}})
	}
	x.Entries = append(x.Entries, dhcpRule(network.In, dhcpServer, dhcpClient), dhcpRule(network.Out, dhcpClient, dhcpServer))
	rules := slices.Clone(group.GetRules())
	slices.SortStableFunc(rules, func(a, b *novacronv1.SecurityRule) int { return cmp.Compare(a.GetPriority(), b.GetPriority()) })
	for i, r := range rules {
		entries, err := ruleEntries(r, i+1, group.GetAllowSpoofing())
		if err != nil {
			return "", err
		}
		x.Entries = append(x.Entries, entries...)
	}
	for _, end := range []*novacronv1.SecurityRule{
		{Direction: network.In, Action: group.GetDefaultIn(), Protocol: network.Any},
		{Direction: network.Out, Action: group.GetDefaultOut(), Protocol: network.Any},
	} {
		entries, err := ruleEntries(end, defaultPlace, group.GetAllowSpoofing())
		if err != nil {
			return "", err
		}
		x.Entries = append(x.Entries, entries...)
	}
	return x.Marshal()
}

func dhcpRule(direction string, from, to int) libvirtxml.NWFilterEntry {
	return libvirtxml.NWFilterEntry{Rule: &libvirtxml.NWFilterRule{
		Action: network.Accept, Direction: direction, Priority: dhcpPlace,
		UDP: &libvirtxml.NWFilterRuleUDP{NWFilterRuleCommonPort: libvirtxml.NWFilterRuleCommonPort{SrcPortStart: count(from), DstPortStart: count(to)}},
	}}
}

func count(n int) libvirtxml.NWFilterField {
	return libvirtxml.NWFilterField{Str: strconv.Itoa(n)}
}

// ruleEntries writes a rule for the versions of IP that it is about. Anti-spoofing lets no IPv6 through in any case.
func ruleEntries(r *novacronv1.SecurityRule, place int, spoofing bool) (entries []libvirtxml.NWFilterEntry, err error) {
	four, six := true, spoofing
	var ip libvirtxml.NWFilterRuleCommonIP
	if r.GetRemote() != "" {
		prefix, err := network.ParseRemote(r.GetRemote())
		if err != nil {
			return nil, err
		}
		four, six = prefix.Addr().Is4(), prefix.Addr().Is6()
		ip = remote(r.GetDirection(), prefix.Addr().String(), mask(prefix.Addr().Is4(), prefix.Bits()))
	}
	ports, err := portRange(r.GetPorts())
	if err != nil {
		return nil, err
	}
	for _, version := range []struct {
		wanted bool
		write  func(*libvirtxml.NWFilterRule)
	}{
		{four, func(x *libvirtxml.NWFilterRule) { writeIPv4(x, r.GetProtocol(), ip, ports) }},
		{six, func(x *libvirtxml.NWFilterRule) { writeIPv6(x, r.GetProtocol(), ip, ports) }},
	} {
		if version.wanted {
			rule := &libvirtxml.NWFilterRule{Action: r.GetAction(), Direction: r.GetDirection(), Priority: place}
			version.write(rule)
			entries = append(entries, libvirtxml.NWFilterEntry{Rule: rule})
		}
	}
	return entries, nil
}

// remote is the sender of what comes in and the receiver of what goes out.
func remote(direction, address, mask string) (ip libvirtxml.NWFilterRuleCommonIP) {
	if direction == network.In {
		ip.SrcIPAddr.Str, ip.SrcIPMask.Str = address, mask
	} else {
		ip.DstIPAddr.Str, ip.DstIPMask.Str = address, mask
	}
	return ip
}

func mask(four bool, bits int) string {
	if four {
		return net.IP(net.CIDRMask(bits, 32)).String()
	}
	return net.IP(net.CIDRMask(bits, 128)).String()
}

func portRange(text string) (ports libvirtxml.NWFilterRuleCommonPort, err error) {
	first, last, err := network.ParsePorts(text)
	if err != nil || first == 0 {
		return ports, err
	}
	ports.DstPortStart = count(first)
	if last != first {
		ports.DstPortEnd = count(last)
	}
	return ports, nil
}

func writeIPv4(x *libvirtxml.NWFilterRule, protocol string, ip libvirtxml.NWFilterRuleCommonIP, ports libvirtxml.NWFilterRuleCommonPort) {
	switch protocol {
	case network.TCP:
		x.TCP = &libvirtxml.NWFilterRuleTCP{NWFilterRuleCommonIP: ip, NWFilterRuleCommonPort: ports}
	case network.UDP:
		x.UDP = &libvirtxml.NWFilterRuleUDP{NWFilterRuleCommonIP: ip, NWFilterRuleCommonPort: ports}
	case network.ICMP:
		x.ICMP = &libvirtxml.NWFilterRuleICMP{NWFilterRuleCommonIP: ip}
	default:
		x.All = &libvirtxml.NWFilterRuleAll{NWFilterRuleCommonIP: ip}
	}
}

func writeIPv6(x *libvirtxml.NWFilterRule, protocol string, ip libvirtxml.NWFilterRuleCommonIP, ports libvirtxml.NWFilterRuleCommonPort) {
	switch protocol {
	case network.TCP:
		x.TCPIPv6 = &libvirtxml.NWFilterRuleTCPIPv6{NWFilterRuleCommonIP: ip, NWFilterRuleCommonPort: ports}
	case network.UDP:
		x.UDPIPv6 = &libvirtxml.NWFilterRuleUDPIPv6{NWFilterRuleCommonIP: ip, NWFilterRuleCommonPort: ports}
	case network.ICMP:
		x.ICMPv6 = &libvirtxml.NWFilterRuleICMPIPv6{NWFilterRuleCommonIP: ip}
	default:
		x.AllIPv6 = &libvirtxml.NWFilterRuleAllIPv6{NWFilterRuleCommonIP: ip}
	}
}

// filterRef is what a card's security group asks of libvirt. The card's address, where it is known, is the only one
// that it may send under.
func filterRef(n NetworkInterface) *libvirtxml.DomainInterfaceFilterRef {
	if n.SecurityGroup == "" {
		return nil
	}
	ref := &libvirtxml.DomainInterfaceFilterRef{Filter: n.SecurityGroup}
	if n.Address != "" {
		ref.Parameters = []libvirtxml.DomainInterfaceFilterParam{{Name: "IP", Value: n.Address}}
	}
	return ref
}
