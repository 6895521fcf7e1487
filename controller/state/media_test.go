package state

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func changeMedia(id string, generation uint64, iso string, images ...*novacronv1.ImageRef) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_ChangeVmMedia{ChangeVmMedia: &statev1.ChangeVMMedia{
			Id: id, OperationId: "op-media", Kind: "attach-iso", Generation: generation, Spec: &novacronv1.VMSpec{Iso: proto.String(iso)}, Images: images,
		}}
	}
}

func putImage(name, sha256 string) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_PutImage{PutImage: &statev1.PutImage{Image: &novacronv1.Image{Name: name, Sha256: sha256}}}
	}
}

func TestMediaChangeIsDoneOnceSeen(t *testing.T) {
	f := runningVM(t)
	f.must(putImage("debian", "aa"))
	ref := &novacronv1.ImageRef{Name: "debian", Sha256: "aa"}
	before, _ := f.store.View().VM("vm", "")
	vm := f.must(changeMedia("vm", 1, "debian", ref)).(*novacronv1.VM)
	require.Equal(t, "debian", vm.GetSpec().GetIso())
	require.Equal(t, before.GetSpec().GetCpus(), vm.GetSpec().GetCpus(), "nothing else of the plan is taken")
	require.Equal(t, "attach-iso", vm.GetOperation().GetKind())
	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 2, Phase: novacronv1.VMPhase_VM_PHASE_RUNNING}))
	vm, _ = f.store.View().VM("vm", "")
	require.Equal(t, novacronv1.OperationState_OPERATION_STATE_DONE, vm.GetOperation().GetState())

	same := f.must(changeMedia("vm", 2, "debian", ref)).(*novacronv1.VM)
	require.EqualValues(t, 2, same.GetGeneration(), "nothing changes: no work for the host")
	f.must(observe("h1", &statev1.VMObservation{VmId: "vm", Epoch: 1, ObservedGeneration: 2, Phase: novacronv1.VMPhase_VM_PHASE_FAILED}))
	again := f.must(changeMedia("vm", 2, "debian", ref)).(*novacronv1.VM)
	require.EqualValues(t, 3, again.GetGeneration(), "what failed is tried again")
}

func TestMediaChangeOfAnOlderPlanIsRefused(t *testing.T) {
	f := runningVM(t)
	f.must(putImage("debian", "aa"))
	_, err := f.apply(changeMedia("vm", 7, "debian"))
	require.ErrorIs(t, err, ErrStale)
	_, err = f.apply(changeMedia("vm", 1, "debian", &novacronv1.ImageRef{Name: "debian", Sha256: "old"}))
	require.ErrorIs(t, err, ErrStale)
	require.ErrorContains(t, err, `image "debian" was deleted or replaced`)
	f.must(deleteVM("vm"))
	_, err = f.apply(changeMedia("vm", 2, "debian"))
	require.ErrorContains(t, err, "is being deleted")
}
