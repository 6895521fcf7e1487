package gcpmonitoring

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/gcpmonitoring/fakecloud"
	"github.com/novacron/novacron/tsdb"
)

// days is a world in which everything happens for ten days.
type days struct {
	*world
	random       *rand.Rand
	begin        time.Time
	kills, fails int
}

// quiet are periods in which nothing happens to a machine: Google tells nothing of them.
func quiet(id string, end time.Time) bool { return fakecloud.Amount(id, "quiet", end) < 100 }

// TestTenDays kills the collector at random moments for ten simulated days in which machines come and go, values are
// rewritten until they are final, and Google throttles, loses, hangs up and is away for hours. Every counter is the truth
// at every period that was stored, and no period is missing.
func TestTenDays(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	length := 10
	if testing.Short() {
		length = 5
	}
	inWorld(t, func(w *world) {
		d := &days{world: w, random: rand.New(rand.NewPCG(seed, 7)), begin: time.Now()}
		d.set()
		d.open()
		for time.Since(d.begin) < time.Duration(length)*24*time.Hour {
			d.wait(time.Duration(1+d.random.IntN(9))*time.Minute + time.Duration(d.random.IntN(60000))*time.Millisecond)
			d.change(d.live)
			d.trouble()
			d.step()
		}
		d.fake.Faults.Next = nil
		for range 40 { // what was missed last comes in slices
			d.wait(5 * time.Minute)
			d.whole()
		}
		through := d.c.Through()
		if time.Since(through) > 10*time.Minute {
			t.Fatalf("stored through %v only", through)
		}
		periods := 0
		for _, i := range d.machines() {
			periods += d.check(i, through)
		}
		t.Logf("%d kills, %d failed collections, %d periods of %d machines, %d calls", d.kills, d.fails, periods, len(d.machines()), d.fake.Calls["ListTimeSeries"])
		if d.kills < 30*length || d.fails < 30*length || periods < 3000*length {
			t.Errorf("too little happened")
		}
	})
}

// machines are all that ever were.
func (d *days) machines() []fakecloud.Instance {
	day := func(n float64) time.Time {
		return d.begin.Add(time.Duration(n * 24 * float64(time.Hour))).Truncate(time.Minute)
	}
	one := func(id string, from, to float64) fakecloud.Instance {
		i := fakecloud.Instance{ID: id, Name: "vm-" + id, Zone: "europe-west4-a", MachineType: "e2-small", Status: "RUNNING", Start: day(from)}
		if to > 0 {
			i.Stop = day(to)
		}
		return i
	}
	return []fakecloud.Instance{one("1", -1, 0), one("2", 1.3, 6.2), one("3", 4.1, 0), one("4", -1, 2.5)}
}

func (d *days) set() {
	d.traffic()
	value := d.fake.Metrics[0].Value
	d.fake.Metrics[0].Value = func(i fakecloud.Instance, labels map[string]string, end time.Time) *monitoringpb.TypedValue {
		if quiet(i.ID, end) {
			return nil
		}
		return value(i, labels, end)
	}
	d.live()
}

// live has machines come and go: one that stopped is listed for six hours more.
func (d *days) live() {
	d.fake.Instances = nil
	for _, i := range d.machines() {
		if i.Start.After(time.Now()) {
			continue
		}
		if stopped := !i.Stop.IsZero() && time.Now().After(i.Stop); stopped {
			i.Status = "TERMINATED"
			i.Hidden = time.Since(i.Stop) > 6*time.Hour
		}
		d.fake.Instances = append(d.fake.Instances, i)
	}
}

// trouble has the next call fail, now and then.
func (d *days) trouble() {
	switch d.random.IntN(16) {
	case 0:
		d.fake.Inject("ListTimeSeries", fakecloud.Fault{Code: codes.ResourceExhausted, RetryAfter: 309 * time.Second})
	case 1:
		d.fake.Inject("ListTimeSeries", fakecloud.Fault{Code: codes.Unavailable})
	case 2:
		d.fake.Inject("ListTimeSeries", fakecloud.Fault{Unable: "a shard", Lose: true})
	case 3:
		d.fake.Inject("instances", fakecloud.Fault{Code: codes.Unavailable})
	case 4:
		d.change(func() { d.fake.PageSize = 10 + d.random.IntN(100) })
	case 5:
		if d.random.IntN(8) == 0 { // away for some hours
			d.wait(time.Duration(d.random.IntN(300)) * time.Minute)
			d.change(d.live)
		}
	}
}

// step makes a collection and dies at some moment of it, or does not.
func (d *days) step() {
	if d.random.IntN(6) == 0 {
		d.kill() // before it
	}
	ctx, cancel := context.WithTimeout(d.t.Context(), 50*time.Second)
	defer cancel()
	metrics, err := d.c.CollectMetrics(ctx, tsdb.MetricsQuery{})
	if err != nil {
		d.fails++
	}
	moment := d.random.IntN(10)
	if moment == 0 {
		d.kill() // with metrics that nobody has
		return
	}
	if moment == 1 {
		if err := d.c.Settle(d.t.Context(), false); err != nil {
			d.t.Fatal(err)
		}
		return // the shard was full
	}
	d.store(metrics)
	switch moment {
	case 2:
		d.kill() // before anything is settled
		return
	case 3, 4:
		name := []string{"counters", "windows"}[moment-3]
		d.disk.failing[name] = errInjection
		if err := d.c.Settle(d.t.Context(), true); !errors.Is(err, errInjection) {
			d.t.Fatalf("the state was not kept and nobody says so: %v", err)
		}
		delete(d.disk.failing, name)
		d.kill() // between the two states
		return
	}
	if err := d.c.Settle(d.t.Context(), true); err != nil {
		d.t.Fatal(err)
	}
}

func (d *days) kill() {
	d.kills++
	d.open()
}

// check compares a machine's counter with the truth, period by period, and returns how many there are.
func (d *days) check(i fakecloud.Instance, through time.Time) (periods int) {
	stored := map[int64]float64{}
	for key, points := range d.stored {
		if strings.HasPrefix(key, "vm_network_receive_bytes_total") && strings.Contains(key, `vm_id="`+i.ID+`"`) {
			if len(stored) > 0 {
				d.t.Fatalf("machine %s has two series", i.ID)
			}
			stored = points
		}
	}
	total, last := 0.0, 0.0
	for end := d.begin.Truncate(time.Minute).Add(time.Minute); !end.After(through); end = end.Add(time.Minute) {
		happened := end.After(i.Start) && (i.Stop.IsZero() || !end.After(i.Stop)) && !quiet(i.ID, end)
		if happened {
			periods++
			total += float64(fakecloud.Amount(i.ID, "true", end) + fakecloud.Amount(i.ID, "false", end))
		}
		value, has := stored[end.UnixMilli()]
		switch {
		case has && collect.IsStale(value):
		case has && value != total:
			d.t.Fatalf("counter of %s at %v is %v, the truth %v", i.ID, end.UTC(), value, total)
		case !has && happened:
			d.t.Fatalf("period of %s that ends at %v is not stored", i.ID, end.UTC())
		case has:
			last = value
		}
	}
	if last != total {
		d.t.Errorf("counter of %s ends at %v, the truth %v", i.ID, last, total)
	}
	return periods
}
