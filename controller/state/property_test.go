package state

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// commands draws plausible and implausible commands over few names, so that they meet.
func commands() *rapid.Generator[*statev1.Command] {
	return rapid.Custom(func(t *rapid.T) *statev1.Command {
		id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id")
		other := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "other")
		n := rapid.Uint64Range(0, 6).Draw(t, "n")
		command := &statev1.Command{Version: Version, Time: timestamppb.New(time.Unix(int64(n)*4000, 0))}
		ops := []func(*statev1.Command){
			initCluster("cluster"),
			putToken(id, novacronv1.Role(1+n%4), time.Unix(int64(n)*1000, 0)),
			redeem(id, other, novacronv1.Role(1+n%4)),
			observeHost(id, novacronv1.HostState(n%4), &novacronv1.HostInfo{Capacity: &novacronv1.Resources{Cpus: uint32(n), MemoryMb: 1000, DiskGb: 10}}),
			createVM("vm-"+id, func(op *statev1.CreateVM) {
				op.Spec.Name, op.RequestId, op.Spec.Cpus = other, fmt.Sprint(n), uint32(n)
				op.Spec.NetworkInterfaces = []*novacronv1.NetworkInterfaceSpec{{Mac: fmt.Sprint(n), Network: other}}
				if n > 3 {
					op.Spec.NetworkInterfaces[0].Address = proto.String(fmt.Sprintf("10.0.%d.%d", other[0]-'a', n))
				}
			}),
			deleteVM("vm-" + id),
			createVolume("vol-"+id, other, n, func(v *novacronv1.Volume) { v.Spec.Name = other }),
			createVolume("vol-"+id, other, n, linkedTo("vol-"+other)),
			resizeVolume("vol-"+id, n),
			deleteVolume("vol-" + id),
			observeVolume(other, "vol-"+id, n, novacronv1.VolumeState(n%4), n == 1),
			observe(other, &statev1.VMObservation{VmId: "vm-" + id, Epoch: n % 3, ObservedGeneration: n, Gone: n == 1, Phase: novacronv1.VMPhase(n)}),
			func(c *statev1.Command) {
				c.Op = &statev1.Command_BindVms{BindVms: &statev1.BindVMs{Bindings: []*statev1.Binding{
					{VmId: "vm-" + id, HostId: other, VmRevision: rapid.Uint64Range(1, 60).Draw(t, "revision")},
				}}}
			},
			func(c *statev1.Command) {
				c.Op = &statev1.Command_SetVmPower{SetVmPower: &statev1.SetVMPower{Id: "vm-" + id, Power: novacronv1.PowerState(n % 3), OperationId: "op"}}
			},
			changeMedia("vm-"+id, n, other, &novacronv1.ImageRef{Name: id, Sha256: other}),
			drain(id, n%2 == 0),
			evacuate(&novacronv1.VM{Id: "vm-" + id, Revision: rapid.Uint64Range(1, 60).Draw(t, "seen")}),
			createVM("vm-"+id, func(op *statev1.CreateVM) {
				op.Spec.Name = other
				withDedicated(uint32(n % 3))(op)
				withDisks("vol-" + other)(op)
			}),
			func(c *statev1.Command) {
				c.Op = &statev1.Command_RemoveMember{RemoveMember: &statev1.RemoveMember{Id: id, Force: n%2 == 0}}
			},
			func(c *statev1.Command) {
				c.Op = &statev1.Command_PutMember{PutMember: &statev1.PutMember{Member: &novacronv1.Member{Id: id, Name: other, Role: novacronv1.Role(1 + n%2)}}}
			},
			func(c *statev1.Command) {
				c.Op = &statev1.Command_PutTemplate{PutTemplate: &statev1.PutTemplate{Name: id, Text: other}}
			},
			func(c *statev1.Command) {
				c.Op = &statev1.Command_DeleteTemplate{DeleteTemplate: &statev1.DeleteTemplate{Name: id}}
			},
			func(c *statev1.Command) {
				c.Op = &statev1.Command_PutImage{PutImage: &statev1.PutImage{Image: &novacronv1.Image{Name: id, Sha256: other}}}
			},
			func(c *statev1.Command) {
				c.Op = &statev1.Command_PutNetwork{PutNetwork: &statev1.PutNetwork{Spec: network(id, fmt.Sprintf("10.0.%d.0/29", n%3))}}
			},
			func(c *statev1.Command) {
				c.Op = &statev1.Command_DeleteNetwork{DeleteNetwork: &statev1.DeleteNetwork{Name: id}}
			},
			func(c *statev1.Command) {
				c.Op = &statev1.Command_PutSecurityGroup{PutSecurityGroup: &statev1.PutSecurityGroup{
					Spec: &novacronv1.SecurityGroupSpec{Name: id, Description: other}, Replace: n > 3}}
			},
			func(c *statev1.Command) {
				c.Op = &statev1.Command_DeleteSecurityGroup{DeleteSecurityGroup: &statev1.DeleteSecurityGroup{Name: id}}
			},
		}
		ops = append(ops, metricCommands(t, id, other, n)...)
		rapid.SampledFrom(ops).Draw(t, "op")(command)
		return command
	})
}

// Whatever commands come: two stores agree to the byte, a snapshot restores to the same, indexes match the records, no
// host is overfilled, epochs never go back, a refused command changes nothing, and old views stay what they were.
func TestEverySequenceOfCommands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, two := New(), New()
		var early View
		var earlyHash string
		epochs := map[string]uint64{}
		for i, command := range rapid.SliceOfN(commands(), 1, 50).Draw(t, "commands") {
			encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(command)
			require.NoError(t, err)
			before := hashOf(t, one)
			result := one.Apply(uint64(i+1), encoded)
			require.Equal(t, result.Err, two.Apply(uint64(i+1), encoded).Err)
			if result.Err != nil {
				require.Equal(t, before, hashOf(t, one), "refused: %v", result.Err)
			}
			if i == 5 {
				early, earlyHash = one.View(), hashOf(t, one)
			}
			checkInvariants(t, one.View(), epochs)
		}
		require.Equal(t, hashOf(t, one), hashOf(t, two))
		checkRestore(t, one)
		if earlyHash != "" {
			hash, err := early.Hash()
			require.NoError(t, err)
			require.Equal(t, earlyHash, hash)
		}
	})
}

func hashOf(t require.TestingT, s *Store) string {
	hash, err := s.View().Hash()
	require.NoError(t, err)
	return hash
}

func checkRestore(t require.TestingT, s *Store) {
	var buffer bytes.Buffer
	require.NoError(t, s.View().Write(&buffer))
	restored := New()
	require.NoError(t, restored.Restore(&buffer))
	require.Equal(t, hashOf(t, s), hashOf(t, restored))
	require.Equal(t, indexes(s.View()), indexes(restored.View()))
}

// indexes are what the records imply, as the indexes say it.
func indexes(v View) map[string][]string {
	all := map[string][]string{}
	for name, index := range map[string]table[string]{
		"name": v.t.vmByName, "host": v.t.vmByHost, "unplaced": v.t.unplaced, "mac": v.t.vmByMAC, "address": v.t.vmByAddress, "age": v.t.requestByAge,
		"volume name": v.t.volumeByName, "volume host": v.t.volumeByHost,
	} {
		for key, value := range index.after("") {
			all[name] = append(all[name], key+"="+value)
		}
	}
	return all
}

func checkInvariants(t require.TestingT, v View, epochs map[string]uint64) {
	names := map[string]string{}
	for id, vm := range v.VMs("") {
		require.GreaterOrEqual(t, vm.GetEpoch(), epochs[id]*min(1, vm.GetEpoch()), "an epoch went back")
		epochs[id] = vm.GetEpoch()
		key := nameKey(vm.GetSpec().GetProject(), vm.GetSpec().GetName())
		require.Empty(t, names[key], "two machines of one name")
		names[key] = id
	}
	require.Equal(t, len(names), v.t.vmByName.len())
	addresses := map[string]string{}
	for _, vm := range v.VMs("") {
		for _, nic := range vm.GetSpec().GetNetworkInterfaces() {
			if nic.GetAddress() == "" {
				continue
			}
			key := addressKey(nic.GetNetwork(), nic.GetAddress())
			require.Empty(t, addresses[key], "two machines of one address")
			addresses[key] = vm.GetId()
			_, managed := v.Network(nic.GetNetwork())
			require.True(t, managed, "an address on a network that is gone")
		}
	}
	require.Equal(t, len(addresses), v.t.vmByAddress.len())
	checkUses(t, v)
	checkSources(t, v, epochs)
	checkLimits(t, v, epochs)
}

// checkUses demands that no CPU and no volume has two masters, and that machines are where their volumes are.
func checkUses(t require.TestingT, v View) {
	masters := map[string]string{}
	for id, vm := range v.VMs("") {
		for _, cpu := range vm.GetHostCpus().GetOwn() {
			key := fmt.Sprint("CPU ", cpu, " of ", vm.GetHostId())
			require.Empty(t, masters[key], "two machines have %s", key)
			masters[key] = id
		}
		for _, volume := range v.VolumesUsed(vm.GetSpec()) {
			require.Empty(t, masters[volume.GetId()], "two machines write to volume %s", volume.GetId())
			masters[volume.GetId()] = id
			require.True(t, vm.GetHostId() == "" || vm.GetHostId() == volume.GetHostId(), "a machine is not where its volume is")
		}
	}
}

func FuzzRestore(f *testing.F) {
	fixture := newFixture(&testing.T{})
	fixture.must(initCluster("cluster"))
	fixture.must(createVM("a"))
	var buffer bytes.Buffer
	if err := fixture.store.View().Write(&buffer); err != nil {
		f.Fatal(err)
	}
	f.Add(buffer.Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		store := New()
		if store.Restore(bytes.NewReader(data)) == nil {
			checkRestore(t, store)
		}
	})
}

func FuzzApply(f *testing.F) {
	command := &statev1.Command{Version: Version}
	createVM("a")(command)
	encoded, err := proto.Marshal(command)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Fuzz(func(t *testing.T, data []byte) {
		store := New()
		before := hashOf(t, store)
		if store.Apply(1, data).Err != nil {
			require.Equal(t, before, hashOf(t, store))
		}
		checkRestore(t, store)
	})
}
