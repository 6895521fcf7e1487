package loop

import (
	"context"
	"time"

	"github.com/novacron/novacron/controller/placing"
	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

const (
	// drainCheck is how often hosts that are being emptied are looked at.
	drainCheck = time.Second
	// drainWave bounds how many machines of a host are on their way at once, so that a wrong order can still be taken back.
	drainWave = 4
)

// Drainer empties the hosts that are to be emptied, a few machines at a time.
type Drainer struct {
	Store *state.Store
	Log   Proposer
	Now   func() time.Time
	NewID func() string
}

// Loop looks once a second.
func (d *Drainer) Loop() Loop {
	return Loop{Name: "drain", Run: func(ctx context.Context) error { return every(ctx, drainCheck, d.check) }}
}

func (d *Drainer) check(ctx context.Context) error {
	for id, host := range d.Store.View().Hosts("") {
		if !host.GetDraining() || host.GetVms() == 0 {
			continue
		}
		if err := d.drain(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// drain begins the next steps of a host's plan. The plan is made anew each time, from what is so by then.
func (d *Drainer) drain(ctx context.Context, hostID string) error {
	view := d.Store.View()
	steps := placing.Drain(view, hostID)
	room := drainWave
	for _, step := range steps {
		if step.GetUnderWay() {
			room--
		}
	}
	leave := &statev1.EvacuateVMs{}
	for _, step := range steps {
		if room <= 0 {
			break
		}
		if step.GetUnderWay() {
			continue
		}
		switch step.GetAction() {
		case novacronv1.DrainAction_DRAIN_ACTION_MOVE:
			machine, _ := view.VM(step.GetVmId(), "")
			leave.Evacuations = append(leave.Evacuations, &statev1.Evacuation{VmId: step.GetVmId(), VmRevision: machine.GetRevision(), OperationId: d.NewID()})
		case novacronv1.DrainAction_DRAIN_ACTION_STOP:
			if err := d.stop(ctx, step.GetVmId()); err != nil {
				return err
			}
		case novacronv1.DrainAction_DRAIN_ACTION_STAY, novacronv1.DrainAction_DRAIN_ACTION_UNSPECIFIED:
			continue
		}
		room--
	}
	if len(leave.GetEvacuations()) == 0 {
		return nil
	}
	return commit(ctx, d.Log, "loop/drain", d.Now(), func(c *statev1.Command) { c.Op = &statev1.Command_EvacuateVms{EvacuateVms: leave} })
}

func (d *Drainer) stop(ctx context.Context, id string) error {
	return commit(ctx, d.Log, "loop/drain", d.Now(), func(c *statev1.Command) {
		c.Op = &statev1.Command_SetVmPower{SetVmPower: &statev1.SetVMPower{
			Id: id, Power: novacronv1.PowerState_POWER_STATE_STOPPED, OperationId: d.NewID(),
		}}
	})
}
