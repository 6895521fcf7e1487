package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

// Words of a security group.
const (
	In     = "in"
	Out    = "out"
	Accept = "accept"
	Drop   = "drop"
	Reject = "reject"
	TCP    = "tcp"
	UDP    = "udp"
	ICMP   = "icmp"
	Any    = "any"
)

// Limits of a security group.
const (
	MaxRules        = 200
	MaxPriority     = 900
	DefaultPriority = 500
	maxDescription  = 200
)

// BuiltIn are the filters that libvirt brings along and that a card may name directly; no group has such a name.
func BuiltIn() []string {
	return []string{
		"allow-arp", "allow-dhcp", "allow-dhcp-server", "allow-dhcpv6", "allow-dhcpv6-server", "allow-incoming-ipv4", "allow-incoming-ipv6",
		"allow-ipv4", "allow-ipv6", "clean-traffic", "clean-traffic-gateway", "no-arp-ip-spoofing", "no-arp-mac-spoofing", "no-arp-spoofing",
		"no-ip-multicast", "no-ip-spoofing", "no-ipv6-multicast", "no-ipv6-spoofing", "no-mac-broadcast", "no-mac-spoofing",
		"no-other-l2-traffic", "no-other-rarp-traffic", "qemu-announce-self", "qemu-announce-self-rarp",
	}
}

// groupText is a security group as people write it.
type groupText struct {
	Description string `json:"description"`
	// AntiSpoofing is "on", the default, or "off".
	AntiSpoofing string     `json:"antiSpoofing"`
	DefaultIn    string     `json:"defaultIn"`
	DefaultOut   string     `json:"defaultOut"`
	Rules        []ruleText `json:"rules"`
}

type ruleText struct {
	Direction string `json:"direction"`
	Action    string `json:"action"`
	Protocol  string `json:"protocol"`
	Ports     string `json:"ports"`
	Remote    string `json:"remote"`
	Priority  int    `json:"priority"`
}

// ParseGroup reads the rules of a security group from YAML, strictly. What is merely wrong comes as vm.Faults, all at
// once; the group is not validated.
func ParseGroup(name string, text []byte) (*novacronv1.SecurityGroupSpec, error) {
	var given groupText
	if err := vm.ParseYAMLInto(text, &given); err != nil {
		return nil, err
	}
	spec := &novacronv1.SecurityGroupSpec{
		Name: name, Description: given.Description, DefaultIn: given.DefaultIn, DefaultOut: given.DefaultOut,
	}
	c := &checker{}
	switch given.AntiSpoofing {
	case "", "on", "true", "yes":
	case "off", "false", "no":
		spec.AllowSpoofing = true
	default:
		c.add("antiSpoofing", quoted(given.AntiSpoofing), "on or off", "choose one of them")
	}
	for i, r := range given.Rules {
		if r.Priority < 0 || r.Priority > MaxPriority {
			c.priority(i, int64(r.Priority))
		}
		spec.Rules = append(spec.Rules, &novacronv1.SecurityRule{
			Direction: r.Direction, Action: r.Action, Protocol: r.Protocol, Ports: r.Ports, Remote: r.Remote, Priority: uint32(min(max(r.Priority, 0), MaxPriority)),
		})
	}
	return spec, c.faults.Err()
}

// NormaliseGroup returns a copy with every field filled in that was left empty: what no rule lets in stays out, what
// the guest sends goes. It is idempotent.
func NormaliseGroup(given *novacronv1.SecurityGroupSpec) *novacronv1.SecurityGroupSpec {
	spec := proto.CloneOf(given)
	fill(&spec.DefaultIn, Drop)
	fill(&spec.DefaultOut, Accept)
	for _, r := range spec.GetRules() {
		fill(&r.Direction, In)
		fill(&r.Action, Accept)
		fill(&r.Protocol, Any)
		if r.GetPriority() == 0 {
			r.Priority = DefaultPriority
		}
		if prefix, err := ParseRemote(r.GetRemote()); err == nil && r.GetRemote() != "" {
			r.Remote = prefix.Masked().String()
		}
		if first, last, err := ParsePorts(r.GetPorts()); err == nil && r.GetPorts() != "" {
			r.Ports = strconv.Itoa(first)
			if last != first {
				r.Ports += "-" + strconv.Itoa(last)
			}
		}
	}
	return spec
}

func fill(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// ValidateGroup returns every fault of a security group at once, as vm.Faults, or nil.
func ValidateGroup(spec *novacronv1.SecurityGroupSpec) error {
	c := &checker{}
	c.join(vm.CheckName("name", spec.GetName()))
	if slices.Contains(BuiltIn(), spec.GetName()) {
		c.add("name", quoted(spec.GetName()), "a name that libvirt does not use for a filter of its own", "choose another name")
	}
	if d := spec.GetDescription(); len(d) > maxDescription || strings.ContainsFunc(d, unicode.IsControl) {
		c.add("description", quoted(d), fmt.Sprintf("at most %d bytes without control characters", maxDescription), "shorten it")
	}
	c.oneOf("defaultIn", spec.GetDefaultIn(), Accept, Drop)
	c.oneOf("defaultOut", spec.GetDefaultOut(), Accept, Drop)
	if len(spec.GetRules()) > MaxRules {
		c.add("rules", fmt.Sprintf("%d rules", len(spec.GetRules())), fmt.Sprintf("at most %d", MaxRules), "join rules, or use several groups on several cards")
		return c.faults.Err()
	}
	for i, r := range spec.GetRules() {
		c.rule(i, r, spec.GetAllowSpoofing())
	}
	return c.faults.Err()
}

func (c *checker) rule(i int, r *novacronv1.SecurityRule, spoofing bool) {
	path := fmt.Sprintf("rules[%d]", i)
	c.oneOf(path+".direction", r.GetDirection(), In, Out)
	c.oneOf(path+".action", r.GetAction(), Accept, Drop, Reject)
	c.oneOf(path+".protocol", r.GetProtocol(), TCP, UDP, ICMP, Any)
	if r.GetPriority() < 1 || r.GetPriority() > MaxPriority {
		c.priority(i, int64(r.GetPriority()))
	}
	if r.GetPorts() != "" {
		if r.GetProtocol() != TCP && r.GetProtocol() != UDP {
			c.add(path+".ports", quoted(r.GetPorts()), "empty unless the protocol is tcp or udp", "leave it out, or name the protocol")
		} else if _, _, err := ParsePorts(r.GetPorts()); err != nil {
			c.add(path+".ports", quoted(r.GetPorts()), "a port of 1 to 65535, or a range such as 8000-8100", "correct it")
		}
	}
	if r.GetRemote() == "" {
		return
	}
	prefix, err := ParseRemote(r.GetRemote())
	switch {
	case err != nil:
		c.add(path+".remote", quoted(r.GetRemote()), "an address or a network such as 10.0.0.0/8", "correct it, or leave it out for anybody")
	case prefix.Addr().Is6() && !spoofing:
		c.add(path+".remote", quoted(r.GetRemote()), "IPv4 with antiSpoofing, which lets no IPv6 through", "use antiSpoofing: off, or an IPv4 network")
	}
}

func (c *checker) priority(i int, n int64) {
	c.add(fmt.Sprintf("rules[%d].priority", i), strconv.FormatInt(n, 10), fmt.Sprintf("1 to %d", MaxPriority), "leave it out for "+strconv.Itoa(DefaultPriority))
}

// ParsePorts reads a port or a range of ports; empty gives zeros.
func ParsePorts(text string) (first, last int, err error) {
	if text == "" {
		return 0, 0, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	first, errFirst := strconv.Atoi(from)
	last, errLast := strconv.Atoi(to)
	if errFirst != nil || errLast != nil || first < 1 || last > 65535 || last < first {
		return 0, 0, fmt.Errorf("ports %s: want a port of 1 to 65535, or a range such as 8000-8100", quoted(text))
	}
	return first, last, nil
}

// ParseRemote reads an address or a network.
func ParseRemote(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}
