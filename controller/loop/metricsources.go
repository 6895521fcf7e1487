package loop

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/novacron/novacron/controller/state"
	"github.com/novacron/novacron/metric"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// sourcesCheck is how often the sources of metrics are looked at.
const sourcesCheck = time.Second

// MetricSources gives every source of metrics to one host, and takes it from hosts that are lost, drained or no longer
// fit. How it keeps a source from having two collectors is told at metric.Lease.
type MetricSources struct {
	Store  *state.Store
	Log    Proposer
	Now    func() time.Time
	Logger *slog.Logger
}

// Loop looks once a second. A new leader waits anew: it does not know when the one before began to.
func (m *MetricSources) Loop() Loop {
	return Loop{Name: "metric-sources", Run: func(ctx context.Context) error {
		waits := Waits{}
		return every(ctx, sourcesCheck, func(ctx context.Context) error { return m.check(ctx, waits) })
	}}
}

func (m *MetricSources) check(ctx context.Context, waits Waits) error {
	view, now := m.Store.View(), m.Now()
	waits.See(view, now)
	plan := PlanSources(view, func(name string) bool { return waits.Over(name, now) })
	for _, e := range plan.End.GetEndings() {
		m.Logger.Info("a metric source leaves its host", "source", e.GetSource(), "why", e.GetMessage())
	}
	for _, op := range plan.ops() {
		if err := commit(ctx, m.Log, "loop/metric-sources", m.Now(), op); err != nil {
			return err
		}
	}
	return nil
}

// Waits are when this leader first saw assignments ending.
type Waits map[string]wait

type wait struct {
	epoch uint64
	since time.Time
}

// See takes note of what ends, and forgets what has ended.
func (w Waits) See(view state.View, now time.Time) {
	for name := range w {
		if record, ok := view.MetricSource(name); !ok || !ending(record.GetSource()) || record.GetSource().GetStatus().GetEpoch() != w[name].epoch {
			delete(w, name)
		}
	}
	for name, record := range view.MetricSources("") {
		if _, known := w[name]; !known && ending(record.GetSource()) {
			w[name] = wait{record.GetSource().GetStatus().GetEpoch(), now}
		}
	}
}

// Over tells whether no lease of an assignment that ends can be left.
func (w Waits) Over(name string, now time.Time) bool {
	waited, known := w[name]
	return known && now.Sub(waited.since) > metric.LeaseWait
}

func ending(source *novacronv1.MetricSource) bool {
	return source.GetStatus().GetState() == novacronv1.MetricSourceState_METRIC_SOURCE_STATE_ENDING
}

// SourcesPlan is what to commit.
type SourcesPlan struct {
	End     *statev1.EndMetricAssignments
	Release *statev1.ReleaseMetricSources
	Assign  *statev1.AssignMetricSources
}

func (p SourcesPlan) ops() (ops []func(*statev1.Command)) {
	if len(p.End.GetEndings()) > 0 {
		ops = append(ops, func(c *statev1.Command) { c.Op = &statev1.Command_EndMetricAssignments{EndMetricAssignments: p.End} })
	}
	if len(p.Release.GetReleases()) > 0 {
		ops = append(ops, func(c *statev1.Command) {
			c.Op = &statev1.Command_ReleaseMetricSources{ReleaseMetricSources: p.Release}
		})
	}
	if len(p.Assign.GetAssignments())+len(p.Assign.GetRefusals()) > 0 {
		ops = append(ops, func(c *statev1.Command) { c.Op = &statev1.Command_AssignMetricSources{AssignMetricSources: p.Assign} })
	}
	return ops
}

// PlanSources compares where sources are with where they can be. over tells of an assignment that ends whether no lease
// of it can be left.
func PlanSources(view state.View, over func(name string) bool) SourcesPlan {
	plan := SourcesPlan{End: &statev1.EndMetricAssignments{}, Release: &statev1.ReleaseMetricSources{}, Assign: &statev1.AssignMetricSources{}}
	hosts, load := map[string]*novacronv1.Host{}, map[string]int{}
	for id, host := range view.Hosts("") {
		hosts[id] = host
	}
	var waiting []*novacronv1.MetricSource
	for name, record := range view.MetricSources("") {
		source := record.GetSource()
		status := source.GetStatus()
		switch {
		case ending(source) && over(name):
			plan.Release.Releases = append(plan.Release.Releases, &statev1.MetricRelease{Source: name, Epoch: status.GetEpoch()})
		case status.GetState() == novacronv1.MetricSourceState_METRIC_SOURCE_STATE_WAITING:
			waiting = append(waiting, source)
		case status.GetHostId() != "" && !ending(source):
			load[status.GetHostId()]++
			if why := unfit(source.GetSpec(), hosts[status.GetHostId()]); why != "" {
				plan.End.Endings = append(plan.End.Endings, &statev1.MetricEnding{
					Source: name, Epoch: status.GetEpoch(), Message: fmt.Sprintf("host %s %s", status.GetHostName(), why),
				})
			}
		}
	}
	for _, source := range waiting {
		plan.place(source, hosts, load)
	}
	return plan
}

// unfit is why a host must not collect from a source, such as «drains»; empty where it may.
func unfit(spec *novacronv1.MetricSourceSpec, host *novacronv1.Host) string {
	switch {
	case host == nil:
		return "is gone"
	case host.GetState() != novacronv1.HostState_HOST_STATE_UP:
		return "is not heard from"
	case host.GetDraining():
		return "is being drained"
	case !metric.Wants(spec, host.GetInfo().GetLabels()):
		return "does not have the labels " + pairs(spec.GetHostLabels())
	}
	return ""
}

// place gives a source to the host that had it before, else to the one that collects from the fewest.
func (p *SourcesPlan) place(source *novacronv1.MetricSource, hosts map[string]*novacronv1.Host, load map[string]int) {
	best, reasons := "", map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(hosts)) {
		why := unfit(source.GetSpec(), hosts[id])
		switch {
		case why != "":
			reasons[why]++
		case id == source.GetStatus().GetLastHostId():
			best = id
		case best == "" || best != source.GetStatus().GetLastHostId() && load[id] < load[best]:
			best = id
		}
	}
	name := source.GetSpec().GetName()
	if best != "" {
		load[best]++
		p.Assign.Assignments = append(p.Assign.Assignments, &statev1.MetricAssignment{Source: name, HostId: best, Revision: source.GetRevision()})
		return
	}
	if why := refusal(len(hosts), reasons); why != source.GetStatus().GetMessage() {
		p.Assign.Refusals = append(p.Assign.Refusals, &statev1.MetricRefusal{Source: name, Revision: source.GetRevision(), Message: why})
	}
}

// refusal counts the hosts that each reason ruled out.
func refusal(hosts int, reasons map[string]int) string {
	parts := []string{fmt.Sprintf("no host can collect from it: %d looked at", hosts)}
	for _, why := range slices.Sorted(maps.Keys(reasons)) {
		parts = append(parts, fmt.Sprintf("%d: it %s", reasons[why], why))
	}
	return strings.Join(parts, "; ")
}

func pairs(labels map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, ", ")
}
