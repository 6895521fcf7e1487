package itest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/itest/fault"
	"github.com/novacron/novacron/vm"
)

// The kinds of mishaps that can befall a create.
const (
	// driverFails has a step fail.
	driverFails = "error"
	// agentDies has the agent killed in a step.
	agentDies = "agent killed"
	// libvirtDies has the libvirt daemon killed in a step, and started again.
	libvirtDies = "libvirtd killed"
	// poolFills has the pool run out of space in a step.
	poolFills = "pool full"
)

// mishap is a create and what befalls it.
type mishap struct {
	vm, uuid, mac string
	kind, point   string
	// slot is the create's place among those that run at the same time.
	slot int
	// uefi gives it firmware with variables of its own; boots gives it a kernel that asks for an address, which takes long.
	uefi, boots bool
}

// stormWidth is how many creates run at the same time.
const stormWidth = 10

// planMishaps draws n creates with a mishap each, as many of each kind; equal draws give equal plans.
func planMishaps(rng *rand.Rand, n int) []mishap {
	kinds := []string{driverFails, agentDies, libvirtDies, poolFills}
	plan := make([]mishap, n)
	for i := range plan {
		plan[i].kind = kinds[i%len(kinds)]
	}
	rng.Shuffle(n, func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	boots := 1
	for i := range plan {
		m := &plan[i]
		m.vm, m.slot, m.uefi = fmt.Sprintf("storm-%03d", i), i%stormWidth, i%10 == 0
		m.uuid = fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", rng.Uint32(), rng.Uint32()>>16, rng.Uint32()>>20, rng.Uint32()>>20, i)
		m.mac = fmt.Sprintf("52:54:00:5e:%02x:%02x", i>>8, i&0xff)
		points := mishapPoints(m.kind)
		m.point = points[rng.IntN(len(points))]
		if m.boots = boots > 0 && m.runs(); m.boots {
			boots--
		}
	}
	return plan
}

// mishapPoints are the steps in which a kind may strike: all that a create passes and, where it fails, its undo. A pool
// that fills up during the undo hinders nobody.
func mishapPoints(kind string) []string {
	return slices.DeleteFunc(slices.Concat(hypervisor.FaultPoints(), hypervisor.SeedFaultPoints()), func(point string) bool {
		return strings.HasPrefix(point, "hypervisor.delete.") || kind == poolFills && inUndo(point)
	})
}

func inUndo(point string) bool { return strings.HasPrefix(point, "hypervisor.undo.") }

// runs tells whether the create has to come out well: neither a death of the agent nor one of libvirt is a reason to fail.
func (m mishap) runs() bool {
	return (m.kind == agentDies || m.kind == libvirtDies) && !inUndo(m.point)
}

// mayRun tells whether the create may come out well. A pool may fill up when all is written; and where a create fails after
// its journal has ended, and libvirt dies under the undo, the next try finds a machine that is all there.
func (m mishap) mayRun() bool {
	return m.runs() || m.kind == poolFills || m.point == committed
}

// committed is the point behind a create's last step.
const committed = "hypervisor.create.commit.after"

// armings are what the agent is told to do to the create. The first is the mishap, and strikes once: where it is over, the
// others are left.
func (m mishap) armings(struck bool) (armings []string) {
	action := map[string]string{driverFails: "error@1", agentDies: "exit", libvirtDies: "freeze@1", poolFills: "freeze@1"}[m.kind]
	if !struck || m.kind == driverFails {
		armings = append(armings, m.point+"#"+m.vm+"="+action)
	}
	if inUndo(m.point) {
		armings = append(armings, undone+"#"+m.vm+"=error") // an undo needs something to undo
	}
	return armings
}

// undone is where a create fails that is to be undone whole.
const undone = "hypervisor.create.verify.before"

// reasons are the texts one of which a failure has to give; none where the create must not fail.
func (m mishap) reasons() []string {
	switch {
	case m.runs():
		return nil
	case inUndo(m.point):
		return []string{fault.ErrInjected.Error() + " at " + undone}
	case m.kind == poolFills:
		return []string{"No space left on device"}
	}
	return []string{fault.ErrInjected.Error() + " at " + m.point}
}

func (m mishap) definition() vm.Definition {
	def := vm.Definition{
		Name: m.vm, UUID: m.uuid, CPUs: 1, MemoryMB: 64, DiskGB: 1, Image: blankOf(m.slot),
		CloudInit:         &vm.CloudInit{UserData: "#cloud-config\n{}\n"},
		NetworkInterfaces: []vm.NetworkInterface{{Network: lan, MAC: m.mac}},
	}
	if m.uefi {
		def.Firmware = vm.FirmwareUEFI
	}
	if m.boots {
		def.MemoryMB, def.Firmware = 96, ""
		def.Boot = &vm.DirectBoot{Kernel: "guest-kernel", Initrd: "guest-initrd", Cmdline: guestArgs + " nc.name=" + m.vm}
	}
	if m.kind == poolFills {
		def.Pool = tightPool
	}
	return def
}

func blankOf(slot int) string { return fmt.Sprintf("blank-%d", slot) }

func TestMishapsAreDrawnAlike(t *testing.T) {
	draw := func() []mishap { return planMishaps(rand.New(rand.NewPCG(7, 0)), 100) }
	plan := draw()
	require.Equal(t, plan, draw())
	kinds, names := map[string]int{}, map[string]bool{}
	for _, m := range plan {
		kinds[m.kind]++
		names[m.vm], names[m.uuid], names[m.mac] = true, true, true
		require.NoError(t, vm.Validate(m.definition()), m.uuid)
		_, err := fault.Parse(strings.Join(m.armings(false), ","))
		require.NoError(t, err)
		require.Equal(t, m.runs(), len(m.reasons()) == 0)
	}
	require.Len(t, names, 300)
	require.Equal(t, map[string]int{driverFails: 25, agentDies: 25, libvirtDies: 25, poolFills: 25}, kinds)
}
