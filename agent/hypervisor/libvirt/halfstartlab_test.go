//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/itest/lab"
)

// dieInStart leaves what a libvirt daemon leaves that is killed in a start before the guest has a process: a status without
// the number of one and with the start under way. The status is looked at before it is put in place: an agent that watches
// may mend it at once.
const dieInStart = `kill -KILL $(cat /run/libvirtd.pid) && tail -s 0.02 --pid=$(cat /run/libvirtd.pid) -f /dev/null
status=/run/libvirt/qemu/$1.xml
kill -KILL $(cat /run/libvirt/qemu/$1.pid)
sed -e "s/<domstatus .*>/<domstatus state='paused' reason='starting up' pid='0'>/" -e "/<domstatus /a <job type='none' async='start' flags='0x0' asyncStarted='1'/>" "$status" >"$status.half"
grep -q "pid='0'" "$status.half"
mv "$status.half" "$status"`

// startedMachine is a machine of ours that runs.
func startedMachine(t *testing.T, host *lab.Host, guest lab.Guest) (hypervisor.Driver, hypervisor.CreateSpec) {
	t.Helper()
	root, err := host.Root()
	require.NoError(t, err)
	d := openHost(t, host, Options{Accelerator: hypervisor.AcceleratorQEMU, StatusDir: root + systemStatus})
	order := labOrder(newLabImages(t, guest))
	order.Start = true
	_, err = labManager(t, d, t.TempDir(), nil).Create(t.Context(), order)
	require.NoError(t, err)
	return d, order
}

// began waits until a driver has a connection, and gives what a start says then.
func began(t *testing.T, d hypervisor.Driver, id string) (err error) {
	t.Helper()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := d.Domain(ctx, id); err != nil {
			return false
		}
		err = d.Start(ctx, id)
		return true
	}, labPatience, 20*time.Millisecond)
	return err
}

func TestAStartThatDiedWithLibvirtIsBegunAnew(t *testing.T) {
	host, guest := labHost(t)
	d, order := startedMachine(t, host, guest)
	id := order.Definition.UUID
	breakOff := func(t *testing.T) {
		t.Helper()
		_, err := host.Output(t.Context(), "sh", "-ec", dieInStart, "sh", order.Definition.Name)
		require.NoError(t, err)
	}
	t.Run("where the agent sees the daemon die", func(t *testing.T) {
		breakOff(t)
		require.Eventually(t, func() bool {
			out, err := host.Output(t.Context(), "sh", "-c", "cat /run/libvirt/qemu/*.xml")
			return err == nil && strings.Contains(out, goneProcess)
		}, labPatience, 20*time.Millisecond)
		require.NoError(t, host.StartLibvirtd(t.Context()))
		require.NoError(t, began(t, d, id))
	})
	t.Run("where the next daemon is faster, by one restart more", func(t *testing.T) {
		require.NoError(t, d.Close())
		breakOff(t)
		require.NoError(t, host.StartLibvirtd(t.Context()))
		root, err := host.Root()
		require.NoError(t, err)
		d := openHost(t, host, Options{Accelerator: hypervisor.AcceleratorQEMU, StatusDir: root + systemStatus})
		for what, err := range map[string]error{"start": began(t, d, id), "end": d.Kill(t.Context(), id, false)} {
			require.ErrorIs(t, err, hypervisor.ErrUnavailable, what)
			require.ErrorContains(t, err, RestartAdvice, what)
		}
		require.NoError(t, host.KillLibvirtd(t.Context()))
		require.NoError(t, host.StartLibvirtd(t.Context()))
		require.NoError(t, began(t, d, id))
		require.NoError(t, d.Kill(t.Context(), id, false))
	})
}
