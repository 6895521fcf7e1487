package state

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// fixture applies commands with growing revisions and times.
type fixture struct {
	t        *testing.T
	store    *Store
	revision uint64
	now      time.Time
}

func newFixture(t *testing.T) *fixture {
	return &fixture{t: t, store: New(), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (f *fixture) apply(op func(*statev1.Command)) (proto.Message, error) {
	f.t.Helper()
	f.revision++
	f.now = f.now.Add(time.Second)
	command := &statev1.Command{Version: Version, Time: timestamppb.New(f.now), Actor: "test"}
	op(command)
	encoded, err := proto.Marshal(command)
	require.NoError(f.t, err)
	result := f.store.Apply(f.revision, encoded)
	return result.Value, result.Err
}

func (f *fixture) must(op func(*statev1.Command)) proto.Message {
	f.t.Helper()
	value, err := f.apply(op)
	require.NoError(f.t, err)
	return value
}

func initCluster(id string) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_InitCluster{InitCluster: &statev1.InitCluster{ClusterId: id, Member: &novacronv1.Member{
			Id: "c1", Name: "c1", Role: novacronv1.Role_ROLE_CONTROLLER, Voter: true,
		}}}
	}
}

func putToken(id string, role novacronv1.Role, expires time.Time) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_PutToken{PutToken: &statev1.PutToken{Token: &statev1.TokenRecord{
			Id: id, SecretHash: []byte("hash-" + id), Role: role, ExpireTime: timestamppb.New(expires),
		}}}
	}
}

func redeem(token, node string, role novacronv1.Role) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_RedeemToken{RedeemToken: &statev1.RedeemToken{
			TokenId: token, SecretHash: []byte("hash-" + token), NodeName: node, UsedBy: node,
			Member: &novacronv1.Member{Id: node, Name: node, Role: role, Voter: role == novacronv1.Role_ROLE_CONTROLLER},
		}}
	}
}

// addHost joins a host and reports it up with the given room.
func (f *fixture) addHost(id string, cpus uint32, memoryMB, diskGB uint64) {
	f.t.Helper()
	f.must(putToken("token-"+id, novacronv1.Role_ROLE_AGENT, f.now.Add(time.Hour)))
	f.must(redeem("token-"+id, id, novacronv1.Role_ROLE_AGENT))
	f.must(observeHost(id, novacronv1.HostState_HOST_STATE_UP, &novacronv1.HostInfo{
		Capacity: &novacronv1.Resources{Cpus: cpus, MemoryMb: memoryMB, DiskGb: diskGB},
	}))
}

func observeHost(id string, state novacronv1.HostState, info *novacronv1.HostInfo) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_ObserveHost{ObserveHost: &statev1.ObserveHost{Id: id, State: state, Info: info}}
	}
}

func createVM(id string, change ...func(*statev1.CreateVM)) func(*statev1.Command) {
	op := &statev1.CreateVM{
		Id: id, OperationId: "op-" + id, Power: novacronv1.PowerState_POWER_STATE_RUNNING,
		Spec: &novacronv1.VMSpec{Name: id, Project: "default", Cpus: 1, MemoryMb: 128, DiskGb: 1},
	}
	for _, c := range change {
		c(op)
	}
	return func(c *statev1.Command) { c.Op = &statev1.Command_CreateVm{CreateVm: op} }
}

func (f *fixture) bind(vm, host string) error {
	f.t.Helper()
	record, _ := f.store.View().VM(vm, "")
	_, err := f.apply(func(c *statev1.Command) {
		c.Op = &statev1.Command_BindVms{BindVms: &statev1.BindVMs{Bindings: []*statev1.Binding{{VmId: vm, HostId: host, VmRevision: record.GetRevision()}}}}
	})
	return err
}

func observe(host string, seen ...*statev1.VMObservation) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_ObserveVms{ObserveVms: &statev1.ObserveVMs{HostId: host, Vms: seen}}
	}
}

func deleteVM(id string) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteVm{DeleteVm: &statev1.DeleteVM{Id: id, OperationId: "op-delete"}}
	}
}

func TestLifeOfAMachine(t *testing.T) {
	f := newFixture(t)
	f.must(initCluster("cluster"))
	f.addHost("h1", 4, 1024, 10)
	created := f.must(createVM("vm")).(*novacronv1.VM)
	require.Equal(t, novacronv1.VMPhase_VM_PHASE_PENDING, created.GetStatus().GetPhase())
	require.NoError(t, f.bind("vm", "h1"))
	vm, _ := f.store.View().VM("vm", "default")
	require.Equal(t, "h1", vm.GetHostName())
	require.EqualValues(t, 1, vm.GetEpoch())

	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 1, Phase: novacronv1.VMPhase_VM_PHASE_RUNNING}))
	vm, _ = f.store.View().VM("vm", "default")
	require.Equal(t, novacronv1.OperationState_OPERATION_STATE_DONE, vm.GetOperation().GetState())

	f.must(deleteVM("vm"))
	vm, _ = f.store.View().VM("vm", "default")
	require.NotNil(t, vm.GetDeleteTime())
	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 2, Gone: true}))
	_, found := f.store.View().VM("vm", "default")
	require.False(t, found)
	host, _ := f.store.View().Host("h1")
	require.Zero(t, host.GetVms())
	require.Zero(t, host.GetAllocated().GetCpus())
}

func TestOnlyTheOwnerInItsEpochIsHeard(t *testing.T) {
	f := newFixture(t)
	f.addHost("h1", 4, 1024, 10)
	f.addHost("h2", 4, 1024, 10)
	f.must(createVM("vm"))
	require.NoError(t, f.bind("vm", "h1"))
	for _, liar := range []struct {
		host  string
		epoch uint64
	}{{"h2", 1}, {"h1", 0}, {"h1", 2}} {
		f.must(observe(liar.host, &statev1.VMObservation{VmId: "vm", Epoch: liar.epoch, ObservedGeneration: 1, Phase: novacronv1.VMPhase_VM_PHASE_RUNNING}))
		vm, _ := f.store.View().VM("vm", "")
		require.Equal(t, novacronv1.VMPhase_VM_PHASE_SCHEDULED, vm.GetStatus().GetPhase())
	}
}

func TestGoneWithoutDeletionKeepsTheRecord(t *testing.T) {
	f := newFixture(t)
	f.addHost("h1", 4, 1024, 10)
	f.must(createVM("vm"))
	require.NoError(t, f.bind("vm", "h1"))
	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 1, Gone: true, Phase: novacronv1.VMPhase_VM_PHASE_FAILED}))
	_, found := f.store.View().VM("vm", "")
	require.True(t, found)
}

func TestBindingIsCheckedAgain(t *testing.T) {
	f := newFixture(t)
	f.addHost("h1", 2, 1024, 10)
	f.must(createVM("a", func(op *statev1.CreateVM) { op.Spec.Cpus = 2 }))
	f.must(createVM("b"))
	require.NoError(t, f.bind("a", "h1"))
	require.ErrorIs(t, f.bind("a", "h1"), ErrStale, "placed already")
	require.ErrorIs(t, f.bind("b", "h1"), ErrStale, "no CPU left")
	require.ErrorIs(t, f.bind("b", "nowhere"), ErrStale)
	f.must(observeHost("h1", novacronv1.HostState_HOST_STATE_DOWN, nil))
	require.ErrorIs(t, f.bind("b", "h1"), ErrStale, "down")
}

func TestCreateRefusals(t *testing.T) {
	withMAC := func(mac string) func(*statev1.CreateVM) {
		return func(op *statev1.CreateVM) {
			op.Spec.NetworkInterfaces = []*novacronv1.NetworkInterfaceSpec{{Mac: mac}}
		}
	}
	f := newFixture(t)
	f.must(createVM("vm", withMAC("52:54:00:00:00:01")))
	_, err := f.apply(createVM("other", func(op *statev1.CreateVM) { op.Spec.Name = "vm" }))
	require.ErrorIs(t, err, ErrExists)
	require.ErrorContains(t, err, `name: "vm"`)
	_, err = f.apply(createVM("vm", func(op *statev1.CreateVM) { op.Spec.Name = "another" }))
	require.ErrorContains(t, err, "uuid")
	_, err = f.apply(createVM("third", withMAC("52:54:00:00:00:01")))
	require.ErrorContains(t, err, "networkInterfaces[0].mac: 52:54:00:00:00:01 belongs to virtual machine vm")
	_, err = f.apply(createVM("fourth", func(op *statev1.CreateVM) { op.Images = []*novacronv1.ImageRef{{Name: "nope"}} }))
	require.ErrorIs(t, err, ErrStale)
}

func TestARepeatedRequestCreatesOnce(t *testing.T) {
	f := newFixture(t)
	request := func(op *statev1.CreateVM) { op.RequestId, op.Spec.Name = "request", "vm" }
	first := f.must(createVM("a", request)).(*novacronv1.VM)
	again := f.must(createVM("b", request)).(*novacronv1.VM)
	require.Equal(t, first.GetId(), again.GetId())
}

func TestRequestsAreForgottenInTime(t *testing.T) {
	f := newFixture(t)
	f.must(createVM("a", func(op *statev1.CreateVM) { op.RequestId = "old" }))
	f.now = f.now.Add(requestMemory + time.Minute)
	f.must(createVM("b", func(op *statev1.CreateVM) { op.RequestId = "new" }))
	_, found := f.store.View().Request("old")
	require.False(t, found)
	_, found = f.store.View().Request("new")
	require.True(t, found)
}

func TestTokens(t *testing.T) {
	f := newFixture(t)
	f.must(putToken("t1", novacronv1.Role_ROLE_AGENT, f.now.Add(time.Minute)))
	_, err := f.apply(redeem("t1", "h1", novacronv1.Role_ROLE_CONTROLLER))
	require.ErrorIs(t, err, ErrRefused, "of another role")
	f.must(redeem("t1", "h1", novacronv1.Role_ROLE_AGENT))
	_, err = f.apply(redeem("t1", "h2", novacronv1.Role_ROLE_AGENT))
	require.ErrorContains(t, err, "was used by h1")
	_, err = f.apply(redeem("unknown", "h2", novacronv1.Role_ROLE_AGENT))
	require.ErrorIs(t, err, ErrNotFound)
	f.must(putToken("t2", novacronv1.Role_ROLE_AGENT, f.now))
	f.now = f.now.Add(time.Hour)
	_, err = f.apply(redeem("t2", "h2", novacronv1.Role_ROLE_AGENT))
	require.ErrorContains(t, err, "expired")
	f.must(putToken("t3", novacronv1.Role_ROLE_AGENT, f.now.Add(time.Minute)))
	_, err = f.apply(redeem("t3", "h1", novacronv1.Role_ROLE_AGENT))
	require.ErrorContains(t, err, `node name "h1" belongs to member`, "claims a live name")
	f.must(redeem("t3", "h3", novacronv1.Role_ROLE_AGENT)) // the failed attempt did not use it up
}

func TestRemoveMember(t *testing.T) {
	remove := func(id string, force bool) func(*statev1.Command) {
		return func(c *statev1.Command) {
			c.Op = &statev1.Command_RemoveMember{RemoveMember: &statev1.RemoveMember{Id: id, Force: force}}
		}
	}
	f := newFixture(t)
	f.must(initCluster("cluster"))
	f.addHost("h1", 4, 1024, 10)
	f.must(createVM("vm"))
	require.NoError(t, f.bind("vm", "h1"))
	_, err := f.apply(remove("c1", true))
	require.ErrorContains(t, err, "only voter")
	_, err = f.apply(remove("h1", false))
	require.ErrorContains(t, err, "owns 1 virtual machines")
	f.must(remove("h1", true))
	require.True(t, f.store.IsRevoked("h1"))
	vm, _ := f.store.View().VM("vm", "")
	require.Equal(t, novacronv1.VMPhase_VM_PHASE_FAILED, vm.GetStatus().GetPhase())
	f.must(deleteVM("vm"))
	_, found := f.store.View().VM("vm", "")
	require.False(t, found, "a machine whose host is gone is forgotten at once")
}

func TestASilentHostMakesItsMachinesUnknown(t *testing.T) {
	f := newFixture(t)
	f.addHost("h1", 4, 1024, 10)
	f.must(createVM("vm"))
	require.NoError(t, f.bind("vm", "h1"))
	f.must(observeHost("h1", novacronv1.HostState_HOST_STATE_DOWN, nil))
	vm, _ := f.store.View().VM("vm", "")
	require.Equal(t, novacronv1.VMPhase_VM_PHASE_UNKNOWN, vm.GetStatus().GetPhase())
	require.Equal(t, "h1", vm.GetHostId(), "silence moves nothing")
}

func TestImages(t *testing.T) {
	put := func(name, hash string) func(*statev1.Command) {
		return func(c *statev1.Command) {
			c.Op = &statev1.Command_PutImage{PutImage: &statev1.PutImage{Image: &novacronv1.Image{Name: name, Sha256: hash}}}
		}
	}
	drop := func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteImage{DeleteImage: &statev1.DeleteImage{Name: "i"}}
	}
	f := newFixture(t)
	f.must(put("i", "1"))
	f.must(put("i", "1"))
	_, err := f.apply(put("i", "2"))
	require.ErrorIs(t, err, ErrExists)
	f.must(createVM("vm", func(op *statev1.CreateVM) { op.Images = []*novacronv1.ImageRef{{Name: "i", Sha256: "1"}} }))
	_, err = f.apply(drop)
	require.ErrorContains(t, err, "used by virtual machine vm")
	f.must(deleteVM("vm"))
	f.must(drop)
}

func TestUnknownCommandsAskForAnUpgrade(t *testing.T) {
	store := New()
	for name, command := range map[string]*statev1.Command{"newer": {Version: Version + 1}, "of an unknown kind": {Version: Version}} {
		t.Run(name, func(t *testing.T) {
			encoded, err := proto.Marshal(command)
			require.NoError(t, err)
			require.ErrorIs(t, store.Apply(1, encoded).Err, ErrUpgrade)
		})
	}
	require.ErrorIs(t, store.Apply(1, []byte{0xff}).Err, ErrUpgrade)
	require.Zero(t, store.Revision())
}

func TestWatch(t *testing.T) {
	f := newFixture(t)
	cursor := f.store.View().Cursor()
	f.must(createVM("a"))
	f.must(createVM("b"))
	changes, next, err := f.store.Next(context.Background(), cursor)
	require.NoError(t, err)
	require.Len(t, changes, 2)
	require.Nil(t, changes[0].Before)
	f.must(deleteVM("a"))
	changes, _, err = f.store.Next(context.Background(), next)
	require.NoError(t, err)
	require.Len(t, changes, 1)
	require.Nil(t, changes[0].After)
	require.Equal(t, "a", changes[0].Record().(*novacronv1.VM).GetId())
}

func TestWatchWaitsAndEndsWithItsContext(t *testing.T) {
	f := newFixture(t)
	got, start := make(chan []Change), f.store.View().Cursor()
	go func() {
		changes, _, _ := f.store.Next(context.Background(), start)
		got <- changes
	}()
	f.must(createVM("a"))
	require.Len(t, <-got, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := f.store.Next(ctx, f.store.View().Cursor())
	require.ErrorIs(t, err, context.Canceled)
}

func TestWatchTellsWhatItNoLongerKeeps(t *testing.T) {
	f := newFixture(t)
	f.store.feed.limit = 4
	start := f.store.View().Cursor()
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"} {
		f.must(createVM(id))
	}
	_, _, err := f.store.Next(context.Background(), start)
	require.ErrorIs(t, err, ErrCompacted)
	changes, _, err := f.store.Next(context.Background(), f.store.CursorAt(f.revision-4))
	require.NoError(t, err)
	require.Len(t, changes, 4)
}

func TestRestoreEndsWatches(t *testing.T) {
	f := newFixture(t)
	f.must(createVM("a"))
	cursor := f.store.View().Cursor()
	var buffer bytes.Buffer
	require.NoError(t, f.store.View().Write(&buffer))
	require.NoError(t, f.store.Restore(&buffer))
	_, _, err := f.store.Next(context.Background(), cursor)
	require.ErrorIs(t, err, ErrCompacted)
}

func TestRestoreRefusesDamage(t *testing.T) {
	f := newFixture(t)
	f.must(initCluster("cluster"))
	f.must(createVM("a"))
	var buffer bytes.Buffer
	require.NoError(t, f.store.View().Write(&buffer))
	whole := buffer.Bytes()
	before, err := f.store.View().Hash()
	require.NoError(t, err)
	for cut := range len(whole) {
		require.Error(t, f.store.Restore(bytes.NewReader(whole[:cut])), "cut at %d of %d", cut, len(whole))
	}
	after, err := f.store.View().Hash()
	require.NoError(t, err)
	require.Equal(t, before, after, "a failed restore changes nothing")
	require.NoError(t, f.store.Restore(bytes.NewReader(whole)))
}
