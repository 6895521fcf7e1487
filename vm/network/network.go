// Package network holds the definitions of networks and security groups, their defaults and their rules, as pure values that both controllers and agents use.
package network

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

// Limits of a network.
const (
	MinMTU        = 576
	MaxMTU        = 9216
	minPrefixBits = 8
	maxPrefixBits = 30
	maxBridgeName = 15
	maxLabels     = 64
)

var (
	bridgeForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$`)
	domainForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	labelForm  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$`)
)

// Normalise returns a copy with every field filled in that was left empty. It is idempotent, and leaves wrong values as
// they are, for Validate to name.
func Normalise(given *novacronv1.NetworkSpec) *novacronv1.NetworkSpec {
	spec := proto.CloneOf(given)
	prefix, err := netip.ParsePrefix(spec.GetSubnet())
	if err != nil || !prefix.Addr().Is4() || badSize(prefix) {
		return spec
	}
	spec.Subnet = prefix.Masked().String()
	first, last := bounds(prefix)
	if spec.GetGateway() == "" && spec.GetMode() != novacronv1.NetworkMode_NETWORK_MODE_BRIDGE {
		spec.Gateway = first.String()
	}
	if spec.GetRangeStart() == "" && spec.GetRangeEnd() == "" && ranged(spec) {
		start := first
		if !spec.GetAssign() { // the lower half is for those who ask
			start = address(number(first) + (number(last)-number(first))/2)
		}
		if start.String() == spec.GetGateway() {
			start = start.Next()
		}
		if last.String() == spec.GetGateway() {
			last = last.Prev()
		}
		spec.RangeStart, spec.RangeEnd = start.String(), last.String()
	}
	return spec
}

// ranged tells whether there are addresses that are given out by themselves: on a bridge only the cluster does that.
func ranged(spec *novacronv1.NetworkSpec) bool {
	return spec.GetAssign() || spec.GetMode() != novacronv1.NetworkMode_NETWORK_MODE_BRIDGE
}

func badSize(prefix netip.Prefix) bool {
	return prefix.Bits() < minPrefixBits || prefix.Bits() > maxPrefixBits
}

// bounds are the first and the last address that a machine can have.
func bounds(prefix netip.Prefix) (first, last netip.Addr) {
	base := number(prefix.Masked().Addr())
	return address(base + 1), address(base + 1<<(32-prefix.Bits()) - 2)
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func address(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// Validate returns every fault of a network at once, as vm.Faults, or nil. It knows no host.
func Validate(spec *novacronv1.NetworkSpec) error {
	c := &checker{}
	c.join(vm.CheckName("name", spec.GetName()))
	c.mode(spec)
	if mtu := spec.GetMtu(); mtu != 0 && (mtu < MinMTU || mtu > MaxMTU) {
		c.add("mtu", fmt.Sprint(mtu), fmt.Sprintf("%d to %d bytes", MinMTU, MaxMTU), "leave it out for that of the host")
	}
	if d := spec.GetDnsDomain(); d != "" && (!domainForm.MatchString(d) || len(d) > 253) {
		c.add("dnsDomain", quoted(d), "a domain in lower case such as lab.example", "correct it, or leave it out")
	}
	c.addresses(spec)
	c.labels(spec.GetHostLabels())
	return c.faults.Err()
}

func (c *checker) mode(spec *novacronv1.NetworkSpec) {
	bridge := spec.GetBridge()
	switch spec.GetMode() {
	case novacronv1.NetworkMode_NETWORK_MODE_NAT:
		if spec.GetSubnet() == "" {
			c.add("subnet", quoted(""), "an IPv4 network such as 10.20.0.0/24", "give one that nothing else uses")
		}
	case novacronv1.NetworkMode_NETWORK_MODE_ISOLATED:
	case novacronv1.NetworkMode_NETWORK_MODE_BRIDGE:
		if !bridgeForm.MatchString(bridge) {
			c.add("bridge", quoted(bridge), fmt.Sprintf("1 to %d of A-Z a-z 0-9 . _ -", maxBridgeName), "name a bridge that the hosts have: see «novacron host show»")
		}
		c.notOnBridge(spec)
		return
	case novacronv1.NetworkMode_NETWORK_MODE_UNSPECIFIED:
		c.add("mode", quoted(""), "one of nat, isolated, bridge", "choose one of them")
	default:
		c.add("mode", spec.GetMode().String(), "one of nat, isolated, bridge", "choose one of them")
	}
	if bridge != "" {
		c.add("bridge", quoted(bridge), "empty without mode bridge", "leave it out: the network gets a bridge of its own")
	}
}

// notOnBridge refuses what belongs to whoever made the bridge.
func (c *checker) notOnBridge(spec *novacronv1.NetworkSpec) {
	const limit, wayOut = "empty with mode bridge", "leave it out: nothing of ours answers there"
	if spec.GetDnsDomain() != "" {
		c.add("dnsDomain", quoted(spec.GetDnsDomain()), limit, wayOut)
	}
	if spec.GetGateway() != "" && spec.GetSubnet() != "" { // without a subnet that is told already
		c.add("gateway", quoted(spec.GetGateway()), limit, wayOut)
	}
	if spec.GetMtu() != 0 {
		c.add("mtu", fmt.Sprint(spec.GetMtu()), "that of the bridge", "leave it out, and set it on the bridge")
	}
}

func (c *checker) addresses(spec *novacronv1.NetworkSpec) {
	if spec.GetSubnet() == "" {
		c.needsSubnet(spec)
		return
	}
	prefix, err := netip.ParsePrefix(spec.GetSubnet())
	if err != nil || !prefix.Addr().Is4() || badSize(prefix) || prefix.Addr().IsLoopback() || prefix.Addr().IsMulticast() || prefix.Addr().IsUnspecified() {
		c.add("subnet", quoted(spec.GetSubnet()), fmt.Sprintf("an IPv4 network with /%d to /%d such as 10.20.0.0/24", minPrefixBits, maxPrefixBits), "correct it")
		return
	}
	if prefix != prefix.Masked() {
		c.add("subnet", quoted(spec.GetSubnet()), "the network's own address", "write "+prefix.Masked().String())
		return
	}
	gateway, _ := c.within("gateway", spec.GetGateway(), prefix)
	c.rangeOf(spec, prefix, gateway)
}

func (c *checker) needsSubnet(spec *novacronv1.NetworkSpec) {
	const limit, wayOut = "empty without a subnet", "give the subnet, or leave it out"
	if spec.GetGateway() != "" {
		c.add("gateway", quoted(spec.GetGateway()), limit, wayOut)
	}
	if spec.GetRangeStart() != "" || spec.GetRangeEnd() != "" {
		c.add("range", quoted(spec.GetRangeStart()+"-"+spec.GetRangeEnd()), limit, wayOut)
	}
	if spec.GetAssign() {
		c.add("assign", "true", limit, wayOut)
	}
}

func (c *checker) rangeOf(spec *novacronv1.NetworkSpec, prefix netip.Prefix, gateway netip.Addr) {
	if (spec.GetRangeStart() == "") != (spec.GetRangeEnd() == "") {
		c.add("range", quoted(spec.GetRangeStart()+"-"+spec.GetRangeEnd()), "both ends or none", "write it as FIRST-LAST")
		return
	}
	if spec.GetRangeStart() != "" && !ranged(spec) {
		c.add("range", quoted(spec.GetRangeStart()+"-"+spec.GetRangeEnd()), "empty with mode bridge, unless the cluster assigns the addresses", "add assign, or leave it out")
		return
	}
	start, ok := c.within("range", spec.GetRangeStart(), prefix)
	end, okEnd := c.within("range", spec.GetRangeEnd(), prefix)
	switch {
	case !ok || !okEnd || !start.IsValid():
	case end.Less(start):
		c.add("range", quoted(start.String()+"-"+end.String()), "FIRST-LAST in that order", "exchange them")
	case !spec.GetAssign() && gateway.IsValid() && gateway.Compare(start) >= 0 && gateway.Compare(end) <= 0:
		c.add("range", quoted(start.String()+"-"+end.String()), "without the gateway "+gateway.String(), "begin after it or end before it")
	}
}

// within checks that a text is an address of the subnet that a machine can have. Empty is fine.
func (c *checker) within(path, text string, prefix netip.Prefix) (netip.Addr, bool) {
	if text == "" {
		return netip.Addr{}, true
	}
	first, last := bounds(prefix)
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is4() || addr.Less(first) || last.Less(addr) {
		c.add(path, quoted(text), fmt.Sprintf("an address from %s to %s", first, last), "choose one of the subnet "+prefix.String())
		return netip.Addr{}, false
	}
	return addr, true
}

func (c *checker) labels(labels map[string]string) {
	if len(labels) > maxLabels {
		c.add("hostLabels", fmt.Sprintf("%d labels", len(labels)), fmt.Sprintf("at most %d", maxLabels), "remove some")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if value := labels[key]; !labelForm.MatchString(key) || value != "" && !labelForm.MatchString(value) {
			c.add("hostLabels", quoted(key+"="+value), "a label such as rack=a1", "use a label that hosts have: see «novacron host list -o wide»")
		}
	}
}

// CheckAddress tells whether a card may ask for an address on a network that was normalised. The error is vm.Faults of
// path.
func CheckAddress(path string, spec *novacronv1.NetworkSpec, text string) error {
	prefix, err := netip.ParsePrefix(spec.GetSubnet())
	if err != nil {
		return vm.Faults{{Path: path, Value: quoted(text), Limit: "empty on network " + spec.GetName() + ", which has no subnet", WayOut: "leave it out"}}
	}
	c := &checker{}
	addr, ok := c.within(path, text, prefix)
	switch {
	case !ok:
	case addr.String() == spec.GetGateway():
		c.add(path, quoted(text), "an address other than the gateway's", "choose another")
	case !spec.GetAssign() && inRange(spec, addr):
		c.add(path, quoted(text), fmt.Sprintf("an address outside of %s to %s, which network %s gives out by itself", spec.GetRangeStart(), spec.GetRangeEnd(), spec.GetName()),
			"choose another of "+spec.GetSubnet())
	}
	return c.faults.Err()
}

func inRange(spec *novacronv1.NetworkSpec, addr netip.Addr) bool {
	start, err := netip.ParseAddr(spec.GetRangeStart())
	end, errEnd := netip.ParseAddr(spec.GetRangeEnd())
	return err == nil && errEnd == nil && addr.Compare(start) >= 0 && addr.Compare(end) <= 0
}

// Wants tells whether a host with these labels shall have the network.
func Wants(spec *novacronv1.NetworkSpec, labels map[string]string) bool {
	for key, value := range spec.GetHostLabels() {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// ParseMode reads a mode as people write it.
func ParseMode(word string) (novacronv1.NetworkMode, bool) {
	mode, ok := novacronv1.NetworkMode_value["NETWORK_MODE_"+strings.ToUpper(word)]
	return novacronv1.NetworkMode(mode), ok && mode != 0
}
