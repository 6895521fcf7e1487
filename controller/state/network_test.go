package state

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// network assigns the addresses .2 to .4 of a subnet that ends in .0.
func network(name, subnet string) *novacronv1.NetworkSpec {
	base := subnet[:len(subnet)-len("0/29")]
	return &novacronv1.NetworkSpec{
		Name: name, Mode: novacronv1.NetworkMode_NETWORK_MODE_NAT, Subnet: subnet, Gateway: base + "1", RangeStart: base + "1", RangeEnd: base + "4", Assign: true,
	}
}

func putNetwork(spec *novacronv1.NetworkSpec) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_PutNetwork{PutNetwork: &statev1.PutNetwork{Spec: spec}}
	}
}

func deleteNetwork(name string) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteNetwork{DeleteNetwork: &statev1.DeleteNetwork{Name: name}}
	}
}

// onNetwork gives a machine a card.
func onNetwork(name, address string) func(*statev1.CreateVM) {
	return func(op *statev1.CreateVM) {
		nic := &novacronv1.NetworkInterfaceSpec{Network: name, Mac: "mac of " + op.GetId()}
		if address != "" {
			nic.Address = proto.String(address)
		}
		op.Spec.NetworkInterfaces = []*novacronv1.NetworkInterfaceSpec{nic}
	}
}

func addressOf(f *fixture, vm string) string {
	found, _ := f.store.View().VM(vm, "")
	return found.GetSpec().GetNetworkInterfaces()[0].GetAddress()
}

func TestNetworksAreNamedOnceAndDoNotMeet(t *testing.T) {
	f := newFixture(t)
	lan := network("lan", "10.1.0.0/29")
	f.must(putNetwork(lan))
	f.must(putNetwork(lan))
	f.refused(ErrExists, `network "lan" is there with another definition`, putNetwork(network("lan", "10.2.0.0/29")))
	f.refused(ErrExists, `subnet: 10.1.0.0/16 meets 10.1.0.0/29 of network "lan"`, putNetwork(&novacronv1.NetworkSpec{Name: "wide", Subnet: "10.1.0.0/16"}))
	f.must(deleteNetwork("lan"))
	f.refused(ErrNotFound, `network "lan"`, deleteNetwork("lan"))
	f.must(putNetwork(network("other", "10.1.0.0/29")))
}

func TestANetworkInUseStays(t *testing.T) {
	f := newFixture(t)
	f.must(createVM("a", onNetwork("host-net", "")))
	f.refused(ErrRefused, `is on a network "host-net" that its host has by itself`, putNetwork(network("host-net", "10.1.0.0/29")))
	f.must(putNetwork(network("lan", "10.1.0.0/29")))
	f.must(createVM("b", onNetwork("lan", "")))
	f.refused(ErrRefused, `network "lan" is used by virtual machine b`, deleteNetwork("lan"))
	f.must(deleteVM("b"))
	f.must(deleteNetwork("lan"))
}

func TestAddressesAreGivenOutOnceAndReleased(t *testing.T) {
	f := newFixture(t)
	f.must(putNetwork(network("lan", "10.1.0.0/29")))
	f.must(createVM("a", onNetwork("lan", "10.1.0.3")))
	f.must(createVM("b", onNetwork("lan", "")))
	f.must(createVM("c", onNetwork("lan", "")))
	require.Equal(t, []string{"10.1.0.3", "10.1.0.2", "10.1.0.4"}, []string{addressOf(f, "a"), addressOf(f, "b"), addressOf(f, "c")})
	f.refused(ErrRefused, `networkInterfaces[0]: network "lan" has no free address from 10.1.0.1 to 10.1.0.4`, createVM("d", onNetwork("lan", "")))
	f.refused(ErrExists, `networkInterfaces[0].address: 10.1.0.3 on network "lan" belongs to virtual machine a`, createVM("d", onNetwork("lan", "10.1.0.3")))
	f.refused(ErrInvalid, `no network of the cluster`, createVM("d", onNetwork("default", "10.1.0.5")))
	f.must(deleteVM("b"))
	f.must(createVM("d", onNetwork("lan", "")))
	require.Equal(t, "10.1.0.2", addressOf(f, "d"))
}

func TestACardOfTheSameMachineIsNoStranger(t *testing.T) {
	f := newFixture(t)
	f.must(putNetwork(network("lan", "10.1.0.0/29")))
	two := func(first, second string) func(*statev1.CreateVM) {
		return func(op *statev1.CreateVM) {
			for _, address := range []string{first, second} {
				nic := &novacronv1.NetworkInterfaceSpec{Network: "lan", Mac: "mac of " + op.GetId() + address}
				if address != "" {
					nic.Address = proto.String(address)
				}
				op.Spec.NetworkInterfaces = append(op.Spec.NetworkInterfaces, nic)
			}
		}
	}
	f.refused(ErrInvalid, "networkInterfaces[1].address: 10.1.0.3 is asked for by networkInterfaces[0] too", createVM("a", two("10.1.0.3", "10.1.0.3")))
	f.must(createVM("a", two("", "10.1.0.2")))
	require.Equal(t, "10.1.0.3", addressOf(f, "a"), "what the second card asks for is not given to the first")
}

func putGroup(name, description string, replace bool) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_PutSecurityGroup{PutSecurityGroup: &statev1.PutSecurityGroup{
			Spec: &novacronv1.SecurityGroupSpec{Name: name, Description: description}, Replace: replace,
		}}
	}
}

func TestSecurityGroups(t *testing.T) {
	f := newFixture(t)
	remove := func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteSecurityGroup{DeleteSecurityGroup: &statev1.DeleteSecurityGroup{Name: "web"}}
	}
	f.refused(ErrNotFound, `security group "web": create it first`, putGroup("web", "", true))
	f.must(putGroup("web", "one", false))
	f.must(putGroup("web", "one", false))
	f.refused(ErrExists, `security group "web" has other rules`, putGroup("web", "two", false))
	f.must(putGroup("web", "two", true))
	f.refused(ErrStale, `security group "db" was deleted meanwhile`, createVM("b", func(op *statev1.CreateVM) { op.SecurityGroups = []string{"db"} }))
	f.must(createVM("a", func(op *statev1.CreateVM) {
		op.SecurityGroups = []string{"web"}
		op.Spec.NetworkInterfaces = []*novacronv1.NetworkInterfaceSpec{{Mac: "m", Network: "default", SecurityGroup: proto.String("web")}}
	}))
	f.refused(ErrRefused, `security group "web" is used by virtual machine a`, remove)
	f.must(deleteVM("a"))
	f.must(remove)
	f.refused(ErrNotFound, `security group "web"`, remove)
}

func TestARestoreBringsNetworksBack(t *testing.T) {
	f := newFixture(t)
	f.must(putNetwork(network("lan", "10.1.0.0/29")))
	f.must(putGroup("web", "one", false))
	f.must(createVM("a", onNetwork("lan", "")))
	var backup, merged bytes.Buffer
	require.NoError(t, f.store.View().Write(&backup))
	f.must(deleteVM("a"))
	f.must(deleteNetwork("lan"))
	require.NoError(t, Merge(&merged, &backup, f.store.View()))
	require.NoError(t, f.store.Restore(&merged))
	_, ok := f.store.View().Network("lan")
	require.True(t, ok)
	_, ok = f.store.View().SecurityGroup("web")
	require.True(t, ok)
	f.refused(ErrExists, "belongs to virtual machine a", createVM("b", onNetwork("lan", "10.1.0.2")))
}

// refused applies a command that is to be refused, with a text in the error, and to change nothing.
func (f *fixture) refused(want error, text string, op func(*statev1.Command)) {
	f.t.Helper()
	before := hashOf(f.t, f.store)
	_, err := f.apply(op)
	require.ErrorIs(f.t, err, want)
	require.ErrorContains(f.t, err, text)
	require.Equal(f.t, before, hashOf(f.t, f.store))
}
