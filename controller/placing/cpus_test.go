package placing

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/controller/sched"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

func TestWhatADefinitionWantsOfTheProcessors(t *testing.T) {
	pins := []*novacronv1.CPUPin{{Vcpu: 1, HostCpus: "4"}, {Vcpu: 0, HostCpus: "7"}}
	for name, c := range map[string]struct {
		cpu  *novacronv1.CPUSpec
		want sched.CPUNeed
	}{
		"nothing":   {nil, sched.CPUNeed{}},
		"a share":   {&novacronv1.CPUSpec{Pinning: []*novacronv1.CPUPin{{Vcpu: 0, HostCpus: "4-6,^5"}, {Vcpu: 1, HostCpus: "4"}}}, sched.CPUNeed{Shared: []int{4, 6}}},
		"its own":   {&novacronv1.CPUSpec{Dedicated: proto.Bool(true)}, sched.CPUNeed{Dedicated: true}},
		"these":     {&novacronv1.CPUSpec{Dedicated: proto.Bool(true), Pinning: pins}, sched.CPUNeed{Dedicated: true, Own: []int{7, 4}}},
		"emulation": {&novacronv1.CPUSpec{Dedicated: proto.Bool(true), Pinning: pins, EmulatorCpus: proto.String("0,4")}, sched.CPUNeed{Dedicated: true, Own: []int{7, 4}, Shared: []int{0}}},
		"near memory": {&novacronv1.CPUSpec{Dedicated: proto.Bool(true), Numa: []*novacronv1.NUMACell{{Cpus: "0", HostNodes: "1"}, {Cpus: "1"}}},
			sched.CPUNeed{Dedicated: true, Groups: []sched.CPUGroup{{VCPUs: []int{0}, Nodes: []int{1}}, {VCPUs: []int{1}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, cpuNeedOf(&novacronv1.VMSpec{Cpus: 2, Cpu: c.cpu}))
		})
	}
}

func TestPinsAreAddedForADecisionAlone(t *testing.T) {
	spec := &novacronv1.VMSpec{Cpus: 2, Cpu: &novacronv1.CPUSpec{Dedicated: proto.Bool(true)}}
	cpus := HostCPUs(sched.Decision{OwnCPUs: []int{3, 1}}, &sched.Request{})
	require.Equal(t, []uint32{3, 1}, cpus.GetOwn())
	pinned := WithPins(spec, cpus).GetCpu().GetPinning()
	require.Equal(t, []string{"3", "1"}, []string{pinned[0].GetHostCpus(), pinned[1].GetHostCpus()})
	require.Empty(t, spec.GetCpu().GetPinning())
	require.Nil(t, HostCPUs(sched.Decision{}, &sched.Request{}))
	require.Empty(t, WithPins(spec, nil).GetCpu().GetPinning())
}
