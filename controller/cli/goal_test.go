package cli

import (
	"testing"
	"time"

	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/stretchr/testify/require"
)

func TestGoal(t *testing.T) {
	const running, stopped, failed = pb.VMPhase_VM_PHASE_RUNNING, pb.VMPhase_VM_PHASE_STOPPED, pb.VMPhase_VM_PHASE_FAILED
	vm := func(op string, generation uint64, phase pb.VMPhase) *pb.VM {
		return &pb.VM{Generation: 2, Spec: &pb.VMSpec{Name: "web-1"}, Operation: &pb.Operation{Id: op, Kind: "start"},
			Status: &pb.VMStatus{Phase: phase, ObservedGeneration: generation}}
	}
	g := newGoal(vm("op", 1, stopped), time.Second)
	for _, c := range []struct {
		name string
		vm   *pb.VM
		done bool
		err  string
	}{
		{"old report", vm("op", 1, running), false, ""},
		{"old failure", vm("op", 1, failed), false, ""},
		{"not yet", vm("op", 2, stopped), false, ""},
		{"done", vm("op", 2, running), true, ""},
		{"failed", vm("op", 2, failed), false, "start failed"},
		{"superseded", vm("other", 3, running), false, "a later start has taken the place"},
	} {
		done, err := g.judge(c.vm)
		require.Equal(t, c.done, done, c.name)
		if c.err == "" {
			require.NoError(t, err, c.name)
		} else {
			require.ErrorContains(t, err, c.err, c.name)
		}
	}
}
