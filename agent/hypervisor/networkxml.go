package hypervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/google/uuid"
	"libvirt.org/go/libvirtxml"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// NetworkNamespace is the XML namespace of what we store in a network.
const NetworkNamespace = "urn:novacron:network:1"

// networkMark is our element in a network. A network without it, or with that of another cluster, is foreign.
type networkMark struct {
	XMLName xml.Name `xml:"urn:novacron:network:1 network"`
	Cluster string   `xml:"cluster,attr"`
	// Spec is the hash of the definition that the network was made from.
	Spec string `xml:"spec,attr"`
}

// identity derives the UUID of something of a cluster from its kind and name: a crash between making it and noting so
// loses nothing.
func identity(clusterID, kind, name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:novacron:"+clusterID+"/"+kind+"/"+name)).String()
}

// NetworkID is the UUID of a network of a cluster.
func NetworkID(clusterID, name string) string { return identity(clusterID, "network", name) }

// BridgeName is what the bridge of a cluster's network is called on its hosts.
func BridgeName(clusterID, name string) string {
	return "nc-" + strings.ReplaceAll(NetworkID(clusterID, name), "-", "")[:10]
}

// specHash tells definitions apart, in every release alike.
func specHash(spec *novacronv1.NetworkSpec) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "1\n%d\n%q\n%q\n%d\n%q\n%q\n%q\n%q\n%t\n", spec.GetMode(), spec.GetSubnet(), spec.GetBridge(), spec.GetMtu(),
		spec.GetDnsDomain(), spec.GetGateway(), spec.GetRangeStart(), spec.GetRangeEnd(), spec.GetAssign()))
	return hex.EncodeToString(sum[:16])
}

// NetworkXML writes a network of a cluster for libvirt, with the addresses that DHCP keeps for cards.
func NetworkXML(clusterID string, spec *novacronv1.NetworkSpec, leases []Lease) (string, error) {
	mark, err := xml.Marshal(networkMark{Cluster: clusterID, Spec: specHash(spec)})
	if err != nil {
		return "", err
	}
	x := libvirtxml.Network{
		Name: spec.GetName(), UUID: NetworkID(clusterID, spec.GetName()), Metadata: &libvirtxml.NetworkMetadata{XML: string(mark)},
	}
	if spec.GetMode() == novacronv1.NetworkMode_NETWORK_MODE_BRIDGE {
		x.Forward, x.Bridge = &libvirtxml.NetworkForward{Mode: "bridge"}, &libvirtxml.NetworkBridge{Name: spec.GetBridge()}
		return x.Marshal()
	}
	if spec.GetMode() == novacronv1.NetworkMode_NETWORK_MODE_NAT {
		x.Forward = &libvirtxml.NetworkForward{Mode: "nat"}
	}
	x.Bridge = &libvirtxml.NetworkBridge{Name: BridgeName(clusterID, spec.GetName()), STP: "on", Delay: "0"}
	if spec.GetMtu() > 0 {
		x.MTU = &libvirtxml.NetworkMTU{Size: uint(spec.GetMtu())}
	}
	if spec.GetDnsDomain() != "" {
		x.Domain = &libvirtxml.NetworkDomain{Name: spec.GetDnsDomain(), LocalOnly: "yes"}
	}
	if err := addressing(&x, spec, leases); err != nil {
		return "", fmt.Errorf("network %s: %w", spec.GetName(), err)
	}
	return x.Marshal()
}

// addressing gives the network its address and its DHCP server, which does not try addresses out before it gives them:
// the cluster knows who has which.
func addressing(x *libvirtxml.Network, spec *novacronv1.NetworkSpec, leases []Lease) error {
	if spec.GetSubnet() == "" {
		return nil
	}
	prefix, err := netip.ParsePrefix(spec.GetSubnet())
	if err != nil {
		return err
	}
	dhcp := &libvirtxml.NetworkDHCP{}
	if spec.GetRangeStart() != "" && !spec.GetAssign() {
		dhcp.Ranges = []libvirtxml.NetworkDHCPRange{{Start: spec.GetRangeStart(), End: spec.GetRangeEnd()}}
	}
	for _, l := range leases {
		dhcp.Hosts = append(dhcp.Hosts, dhcpHost(l))
	}
	x.IPs = []libvirtxml.NetworkIP{{Address: spec.GetGateway(), Netmask: net.IP(net.CIDRMask(prefix.Bits(), 32)).String(), DHCP: dhcp}}
	x.DnsmasqOptions = &libvirtxml.NetworkDnsmasqOptions{Option: []libvirtxml.NetworkDnsmasqOption{{Value: "no-ping"}}}
	return nil
}

func dhcpHost(l Lease) libvirtxml.NetworkDHCPHost {
	return libvirtxml.NetworkDHCPHost{MAC: l.MAC, Name: l.Name, IP: l.Address}
}

// LeaseXML writes a lease as libvirt's network update takes it.
func LeaseXML(l Lease) (string, error) {
	text, err := xml.Marshal(dhcpHost(l))
	return string(text), err
}

// ParseNetwork reads what a driver has to tell of a network out of its XML. The driver adds what it is doing.
func ParseNetwork(text string) (Network, error) {
	var x libvirtxml.Network
	if err := x.Unmarshal(text); err != nil {
		return Network{}, fmt.Errorf("network XML: %w", err)
	}
	n := Network{ID: x.UUID, Name: x.Name}
	if x.Metadata != nil {
		n.Metadata = x.Metadata.XML
	}
	for _, ip := range x.IPs {
		if ip.DHCP == nil {
			continue
		}
		for _, h := range ip.DHCP.Hosts {
			n.Leases = append(n.Leases, Lease{MAC: h.MAC, Address: h.IP, Name: h.Name})
		}
	}
	return n, nil
}

// readMark finds our element among the contents of a network's metadata.
func readMark(text string) (networkMark, bool) {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) || err != nil {
			return networkMark{}, false
		}
		if start, ok := token.(xml.StartElement); ok {
			var mark networkMark
			if start.Name.Space == NetworkNamespace && start.Name.Local == "network" {
				return mark, d.DecodeElement(&mark, &start) == nil
			}
			if d.Skip() != nil {
				return networkMark{}, false
			}
		}
	}
}
