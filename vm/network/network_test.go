package network

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

const (
	nat      = novacronv1.NetworkMode_NETWORK_MODE_NAT
	isolated = novacronv1.NetworkMode_NETWORK_MODE_ISOLATED
	bridge   = novacronv1.NetworkMode_NETWORK_MODE_BRIDGE
)

// faultsOf gives the faults in the words people see.
func faultsOf(t require.TestingT, err error) map[string]string {
	found := map[string]string{}
	if err == nil {
		return found
	}
	var faults vm.Faults
	require.ErrorAs(t, err, &faults)
	for _, f := range faults {
		require.NotEmpty(t, f.Value, f.Path)
		require.NotEmpty(t, f.WayOut, f.Path)
		found[f.Path] = f.Limit
	}
	return found
}

func TestDefaultsOfNetworks(t *testing.T) {
	for _, c := range []struct {
		name  string
		given *novacronv1.NetworkSpec
		want  [3]string // gateway, first and last of the range
	}{
		{"the lower half is for those who ask", &novacronv1.NetworkSpec{Name: "a", Mode: nat, Subnet: "10.0.0.0/24"}, [3]string{"10.0.0.1", "10.0.0.127", "10.0.0.254"}},
		{"the cluster assigns all", &novacronv1.NetworkSpec{Name: "a", Mode: nat, Subnet: "10.0.0.0/24", Assign: true}, [3]string{"10.0.0.1", "10.0.0.2", "10.0.0.254"}},
		{"a gateway at the end", &novacronv1.NetworkSpec{Name: "a", Mode: nat, Subnet: "10.0.0.0/24", Gateway: "10.0.0.254"}, [3]string{"10.0.0.254", "10.0.0.127", "10.0.0.253"}},
		{"the smallest", &novacronv1.NetworkSpec{Name: "a", Mode: isolated, Subnet: "10.0.0.0/30"}, [3]string{"10.0.0.1", "10.0.0.2", "10.0.0.2"}},
		{"no subnet", &novacronv1.NetworkSpec{Name: "a", Mode: isolated}, [3]string{}},
		{"a bridge books only", &novacronv1.NetworkSpec{Name: "a", Mode: bridge, Bridge: "br0", Subnet: "10.0.0.0/24"}, [3]string{}},
		{"a bridge assigns", &novacronv1.NetworkSpec{Name: "a", Mode: bridge, Bridge: "br0", Subnet: "10.0.0.0/24", Assign: true}, [3]string{"", "10.0.0.1", "10.0.0.254"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Normalise(c.given)
			require.Equal(t, c.want, [3]string{got.GetGateway(), got.GetRangeStart(), got.GetRangeEnd()})
			require.Empty(t, faultsOf(t, Validate(got)))
			require.True(t, proto.Equal(got, Normalise(got)))
		})
	}
}

func TestFaultsOfNetworks(t *testing.T) {
	many := map[string]string{}
	for i := range 65 {
		many[string(rune('A'+i%26))+string(rune('a'+i/26))] = "x"
	}
	for _, c := range []struct {
		name string
		spec *novacronv1.NetworkSpec
		want []string
	}{
		{"nothing at all", &novacronv1.NetworkSpec{}, []string{"name", "mode"}},
		{"a mode of the future", &novacronv1.NetworkSpec{Name: "a", Mode: 99}, []string{"mode"}},
		{"nat needs a subnet", &novacronv1.NetworkSpec{Name: "a", Mode: nat}, []string{"subnet"}},
		{"a bridge without its name", &novacronv1.NetworkSpec{Name: "a", Mode: bridge, Mtu: 1500, DnsDomain: "x", Gateway: "10.0.0.1"}, []string{"bridge", "mtu", "dnsDomain", "gateway"}},
		{"a bridge of its own", &novacronv1.NetworkSpec{Name: "a", Mode: isolated, Bridge: "br0"}, []string{"bridge"}},
		{"not the network's address", &novacronv1.NetworkSpec{Name: "a", Mode: nat, Subnet: "10.0.0.1/24"}, []string{"subnet"}},
		{"too small", &novacronv1.NetworkSpec{Name: "a", Mode: nat, Subnet: "10.0.0.0/31"}, []string{"subnet"}},
		{"IPv6", &novacronv1.NetworkSpec{Name: "a", Mode: nat, Subnet: "fd00::/64"}, []string{"subnet"}},
		{"multicast", &novacronv1.NetworkSpec{Name: "a", Mode: nat, Subnet: "224.0.0.0/8"}, []string{"subnet"}},
		{"outside", &novacronv1.NetworkSpec{Name: "a", Mode: nat, Subnet: "10.0.0.0/24", Gateway: "10.0.1.1"}, []string{"gateway"}},
		{"broadcast", &novacronv1.NetworkSpec{Name: "a", Mode: nat, Subnet: "10.0.0.0/24", RangeStart: "10.0.0.9", RangeEnd: "10.0.0.255"}, []string{"range"}},
		{"backwards", &novacronv1.NetworkSpec{Name: "a", Mode: nat, Subnet: "10.0.0.0/24", RangeStart: "10.0.0.9", RangeEnd: "10.0.0.8"}, []string{"range"}},
		{"half a range", &novacronv1.NetworkSpec{Name: "a", Mode: nat, Subnet: "10.0.0.0/24", RangeStart: "10.0.0.9"}, []string{"range"}},
		{"over the gateway", &novacronv1.NetworkSpec{Name: "a", Mode: nat, Subnet: "10.0.0.0/24", Gateway: "10.0.0.1", RangeStart: "10.0.0.1", RangeEnd: "10.0.0.8"}, []string{"range"}},
		{"a range nobody gives out", &novacronv1.NetworkSpec{Name: "a", Mode: bridge, Bridge: "br0", Subnet: "10.0.0.0/24", RangeStart: "10.0.0.8", RangeEnd: "10.0.0.9"}, []string{"range"}},
		{"assign without a subnet", &novacronv1.NetworkSpec{Name: "a", Mode: isolated, Assign: true, RangeStart: "10.0.0.1"}, []string{"assign", "range"}},
		{"sizes and words", &novacronv1.NetworkSpec{Name: "a", Mode: isolated, Mtu: 100, DnsDomain: "A b", HostLabels: map[string]string{"a b": ""}}, []string{"mtu", "dnsDomain", "hostLabels"}},
		{"labels", &novacronv1.NetworkSpec{Name: "a", Mode: isolated, HostLabels: many}, []string{"hostLabels"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := faultsOf(t, Validate(c.spec))
			for _, path := range c.want {
				require.Contains(t, found, path)
				delete(found, path)
			}
			require.Empty(t, found)
		})
	}
}

func TestAddressesThatCardsMayAskFor(t *testing.T) {
	on := Normalise(&novacronv1.NetworkSpec{Name: "lan", Mode: nat, Subnet: "10.0.0.0/24"})
	assigning := Normalise(&novacronv1.NetworkSpec{Name: "lan", Mode: nat, Subnet: "10.0.0.0/24", Assign: true})
	require.NoError(t, CheckAddress("a", on, "10.0.0.2"))
	require.NoError(t, CheckAddress("a", assigning, "10.0.0.200"))
	for text, limit := range map[string]string{
		"10.0.0.1": "other than the gateway's", "10.0.0.200": "outside of 10.0.0.127 to 10.0.0.254", "10.0.0.255": "from 10.0.0.1 to 10.0.0.254", "x": "from 10.0.0.1",
	} {
		require.Contains(t, faultsOf(t, CheckAddress("a", on, text))["a"], limit)
	}
	require.Contains(t, faultsOf(t, CheckAddress("a", &novacronv1.NetworkSpec{Name: "bare"}, "10.0.0.2"))["a"], "no subnet")
}

func TestHostsOfANetwork(t *testing.T) {
	spec := &novacronv1.NetworkSpec{HostLabels: map[string]string{"rack": "a1"}}
	require.True(t, Wants(spec, map[string]string{"rack": "a1", "disk": "ssd"}))
	require.False(t, Wants(spec, map[string]string{"rack": "a2"}))
	require.True(t, Wants(&novacronv1.NetworkSpec{}, nil))
	mode, ok := ParseMode("bridge")
	require.True(t, ok)
	require.Equal(t, bridge, mode)
	_, ok = ParseMode("unspecified")
	require.False(t, ok)
}

// Whatever is given: normalising is idempotent, and what is valid stays valid.
func TestNormalisingIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := &novacronv1.NetworkSpec{
			Name: "a", Mode: novacronv1.NetworkMode(rapid.Int32Range(0, 4).Draw(t, "mode")), Bridge: rapid.SampledFrom([]string{"", "br0"}).Draw(t, "bridge"),
			Subnet:  rapid.SampledFrom([]string{"", "10.0.0.0/8", "10.1.2.0/24", "10.1.2.4/30", "10.1.2.3/24", "x"}).Draw(t, "subnet"),
			Gateway: rapid.SampledFrom([]string{"", "10.1.2.1", "10.1.2.5", "10.1.2.254"}).Draw(t, "gateway"), Assign: rapid.Bool().Draw(t, "assign"),
		}
		once := Normalise(spec)
		require.True(t, proto.Equal(once, Normalise(once)))
		if Validate(spec) == nil {
			require.NoError(t, Validate(once))
		}
	})
}

func TestRulesOfSecurityGroups(t *testing.T) {
	spec, err := ParseGroup("web", []byte(`
description: a web server
rules:
  - {protocol: tcp, ports: 80}
  - {direction: out, action: drop, remote: 10.1.2.3/8, priority: 7}
  - {remote: 10.1.2.3}
`))
	require.NoError(t, err)
	group := NormaliseGroup(spec)
	require.NoError(t, ValidateGroup(group))
	require.True(t, proto.Equal(group, NormaliseGroup(group)))
	require.Equal(t, []string{Drop, Accept}, []string{group.GetDefaultIn(), group.GetDefaultOut()})
	require.True(t, proto.Equal(&novacronv1.SecurityRule{Direction: In, Action: Accept, Protocol: TCP, Ports: "80", Priority: DefaultPriority}, group.GetRules()[0]))
	require.Equal(t, "10.0.0.0/8", group.GetRules()[1].GetRemote())
	require.Equal(t, "10.1.2.3/32", group.GetRules()[2].GetRemote())
}

func TestFaultsOfSecurityGroups(t *testing.T) {
	for text, want := range map[string]string{
		"rules: [{port: 80}]":             "rules[0].port",
		"antiSpoofing: perhaps":           "antiSpoofing",
		"rules: [{priority: 901}]":        "rules[0].priority",
		"rules: [{priority: -1}]":         "rules[0].priority",
		"rules: [{priority: high}]":       "rules[0].priority",
		"rules: [{ports: 1}, {ports: 1}]": "",
	} {
		_, err := ParseGroup("web", []byte(text))
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.Contains(t, faultsOf(t, err), want, text)
	}
	_, err := ParseGroup("web", []byte("- a list"))
	require.ErrorIs(t, err, vm.ErrSyntax)

	rule := func(r *novacronv1.SecurityRule) *novacronv1.SecurityGroupSpec {
		return NormaliseGroup(&novacronv1.SecurityGroupSpec{Name: "web", Rules: []*novacronv1.SecurityRule{r}})
	}
	for name, c := range map[string]struct {
		spec *novacronv1.SecurityGroupSpec
		want []string
	}{
		"all at once":      {rule(&novacronv1.SecurityRule{Direction: "up", Action: "eat", Protocol: "sctp", Priority: 5000}), []string{"rules[0].direction", "rules[0].action", "rules[0].protocol", "rules[0].priority"}},
		"ports of icmp":    {rule(&novacronv1.SecurityRule{Protocol: ICMP, Ports: "80"}), []string{"rules[0].ports"}},
		"ports backwards":  {rule(&novacronv1.SecurityRule{Protocol: TCP, Ports: "80-79"}), []string{"rules[0].ports"}},
		"ports too high":   {rule(&novacronv1.SecurityRule{Protocol: TCP, Ports: "65536"}), []string{"rules[0].ports"}},
		"remote":           {rule(&novacronv1.SecurityRule{Remote: "somewhere"}), []string{"rules[0].remote"}},
		"IPv6 is spoofing": {rule(&novacronv1.SecurityRule{Remote: "fd00::/8"}), []string{"rules[0].remote"}},
		"libvirt's own":    {NormaliseGroup(&novacronv1.SecurityGroupSpec{Name: "clean-traffic"}), []string{"name"}},
		"words":            {&novacronv1.SecurityGroupSpec{Name: "a_b", Description: "a\nb", DefaultIn: "x", DefaultOut: "y"}, []string{"name", "description", "defaultIn", "defaultOut"}},
		"too many":         {NormaliseGroup(&novacronv1.SecurityGroupSpec{Name: "a", Rules: make([]*novacronv1.SecurityRule, MaxRules+1)}), []string{"rules"}},
	} {
		t.Run(name, func(t *testing.T) {
			found := faultsOf(t, ValidateGroup(c.spec))
			for _, path := range c.want {
				require.Contains(t, found, path)
			}
			require.Len(t, found, len(c.want))
		})
	}
	open := rule(&novacronv1.SecurityRule{Remote: "fd00::/8"})
	open.AllowSpoofing = true
	require.NoError(t, ValidateGroup(open))
}

func FuzzParseGroup(f *testing.F) {
	f.Add([]byte("rules:\n  - {protocol: tcp, ports: 80}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		spec, err := ParseGroup("web", text)
		if err != nil {
			return
		}
		group := NormaliseGroup(spec)
		require.True(t, proto.Equal(group, NormaliseGroup(group)))
		_ = ValidateGroup(group)
	})
}
