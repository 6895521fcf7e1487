package loop

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/controller/state"
	"github.com/novacron/novacron/metric"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// A model of a cluster on simulated time: the state, the plan, the waits and the leases are the real ones; the network,
// the clocks, the leaders and the processes are as bad as a seed wants them. It moves in steps.
const (
	modelStep = 250 * time.Millisecond
	// worstDelay is how late a message may come: later than any patience.
	worstDelay = 30 * time.Second
)

var modelSources = []string{"aws", "gcp", "node"}

type model struct {
	t     require.TestingT
	draw  *rand.Rand
	now   time.Time
	store *state.Store
	index uint64

	waits  Waits
	term   int
	beats  map[string]time.Time
	agents []*modelAgent
	mail   []message
	backup []byte
	// calm is when nothing breaks any more.
	calm    bool
	runners map[string]int
	starts  int
}

// message is something that happens at a time.
type message struct {
	at time.Time
	do func()
}

// modelAgent is an agent with a clock of its own.
type modelAgent struct {
	id       string
	origin   time.Time
	rate     float64
	life     int
	alive    bool
	stopped  time.Time // SIGSTOP until then
	cut      bool
	leases   *metric.Leases
	jobs     map[string]modelJob
	revision uint64
	report   time.Time
}

type modelJob struct {
	epoch  uint64
	ending bool
}

func newModel(t require.TestingT, seed uint64) *model {
	m := &model{
		t: t, draw: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), store: state.New(),
		waits: Waits{}, beats: map[string]time.Time{}, runners: map[string]int{},
	}
	for _, id := range []string{"h1", "h2", "h3"} {
		m.commit(func(c *statev1.Command) {
			c.Op = &statev1.Command_PutMember{PutMember: &statev1.PutMember{Member: &novacronv1.Member{Id: id, Name: id, Role: novacronv1.Role_ROLE_AGENT}}}
		})
		m.agents = append(m.agents, &modelAgent{id: id, origin: m.now, rate: 0.97 + 0.06*m.draw.Float64(), alive: true, leases: &metric.Leases{}, jobs: map[string]modelJob{}})
	}
	for _, name := range modelSources {
		m.commit(put(name, false))
	}
	return m
}

func put(name string, paused bool) func(*statev1.Command) {
	return func(c *statev1.Command) {
		c.Op = &statev1.Command_PutMetricSource{PutMetricSource: &statev1.PutMetricSource{Spec: &novacronv1.MetricSourceSpec{
			Name: name, Paused: paused, Kind: &novacronv1.MetricSourceSpec_Scrape{Scrape: &novacronv1.ScrapeMetricSource{Url: "http://target"}},
		}}}
	}
}

func change(name string, paused bool) func(*statev1.Command) {
	return func(c *statev1.Command) {
		put(name, paused)(c)
		c.GetPutMetricSource().Replace = true
	}
}

func (m *model) commit(op func(*statev1.Command)) {
	command := &statev1.Command{Version: state.Version, Time: timestamppb.New(m.now), Actor: "model"}
	op(command)
	encoded, err := proto.Marshal(command)
	require.NoError(m.t, err)
	m.index++
	m.store.Apply(m.index, encoded) // what is refused changes nothing
}

func (m *model) chance(p float64) bool { return m.draw.Float64() < p }

func (m *model) later(do func()) {
	delay := time.Duration(m.draw.Int64N(int64(100 * time.Millisecond)))
	if !m.calm && m.chance(0.2) {
		delay = time.Duration(m.draw.Int64N(int64(worstDelay)))
	}
	m.mail = append(m.mail, message{m.now.Add(delay), do})
}

// step lets one step of time pass and looks at every instant who collects.
func (m *model) step() {
	m.now = m.now.Add(modelStep)
	m.deliver()
	if !m.calm {
		m.mischief()
	}
	for _, a := range m.agents {
		m.live(a)
	}
	m.lead()
	m.look()
}

func (m *model) deliver() {
	due := m.mail
	m.mail = nil
	slices.SortStableFunc(due, func(a, b message) int { return a.at.Compare(b.at) })
	for _, one := range due {
		if one.at.After(m.now) {
			m.mail = append(m.mail, one)
			continue
		}
		one.do()
	}
}

// mischief breaks things, and mends them about as often: a cluster in which nothing works any more proves nothing.
func (m *model) mischief() {
	for _, a := range m.agents {
		switch {
		case a.cut && m.chance(0.02):
			a.cut = false
		case !a.alive && m.chance(0.05), a.alive && m.chance(0.002):
			m.restart(a)
		case m.chance(0.002):
			a.alive = false
		case m.chance(0.002):
			a.stopped = m.now.Add(time.Duration(m.draw.Int64N(int64(time.Minute))))
		}
	}
	switch {
	case m.chance(0.005):
		m.newLeader()
	case m.chance(0.06):
		m.wish()
		m.cutSome()
	case m.chance(0.002):
		m.restore()
		m.cutSome()
	}
}

// cutSome cuts hosts off at the very moment that something is asked of them.
func (m *model) cutSome() {
	for _, a := range m.agents {
		a.cut = a.cut || m.chance(0.3)
	}
}

// newLeader knows of no beat and of no wait.
func (m *model) newLeader() {
	m.term++
	m.waits, m.beats = Waits{}, map[string]time.Time{}
	for _, a := range m.agents {
		m.beats[a.id] = m.now
	}
}

// wish is what people want.
func (m *model) wish() {
	name := modelSources[m.draw.IntN(len(modelSources))]
	host := m.agents[m.draw.IntN(len(m.agents))].id
	drain := func(draining bool) func(*statev1.Command) {
		return func(c *statev1.Command) {
			c.Op = &statev1.Command_SetHostDraining{SetHostDraining: &statev1.SetHostDraining{HostId: host, Draining: draining}}
		}
	}
	ops := []func(*statev1.Command){
		change(name, true), change(name, false), change(name, false), put(name, false), put(name, false), drain(true), drain(true), drain(false), drain(false),
		func(c *statev1.Command) {
			c.Op = &statev1.Command_DeleteMetricSource{DeleteMetricSource: &statev1.DeleteMetricSource{Name: name}}
		},
	}
	m.commit(ops[m.draw.IntN(len(ops))])
}

// restore brings back the intent of a backup, or makes one.
func (m *model) restore() {
	if m.backup == nil {
		var all bytes.Buffer
		require.NoError(m.t, m.store.View().Write(&all))
		m.backup = all.Bytes()
		return
	}
	var merged bytes.Buffer
	require.NoError(m.t, state.Merge(&merged, bytes.NewReader(m.backup), m.store.View()))
	require.NoError(m.t, m.store.Restore(&merged))
	m.index = m.store.Revision()
	m.backup = nil
}

func (m *model) restart(a *modelAgent) {
	a.life++
	a.alive, a.stopped = true, time.Time{}
	a.leases, a.jobs, a.revision, a.report = &metric.Leases{}, map[string]modelJob{}, 0, time.Time{}
}

// clock is the agent's own.
func (m *model) clock(a *modelAgent) time.Time {
	return a.origin.Add(time.Duration(float64(m.now.Sub(a.origin)) * a.rate))
}

func (m *model) awake(a *modelAgent) bool { return a.alive && m.now.After(a.stopped) }

// live has an agent watch and report.
func (m *model) live(a *modelAgent) {
	if !m.awake(a) || a.cut {
		return
	}
	view, life := m.store.View(), a.life
	if view.Revision() > a.revision && m.chance(0.7) {
		m.later(func() { m.desired(a, life, view) })
	}
	if clock := m.clock(a); clock.Sub(a.report) >= 5*time.Second {
		a.report = clock
		said, asked := stoppedJobs(a), clock
		m.later(func() { m.answer(a, life, said, asked) })
	}
}

// stoppedJobs are those that the agent says it has stopped for good.
func stoppedJobs(a *modelAgent) map[string]uint64 {
	stopped := map[string]uint64{}
	for name, job := range a.jobs {
		if job.ending {
			stopped[name] = job.epoch
		}
	}
	return stopped
}

// desired is a set that arrives; sets do not go back in time.
func (m *model) desired(a *modelAgent, life int, view state.View) {
	if a.life != life || a.cut || !a.alive || view.Revision() <= a.revision {
		return
	}
	a.revision, a.jobs = view.Revision(), map[string]modelJob{}
	for name, record := range view.MetricSources("") {
		if source := record.GetSource(); source.GetStatus().GetHostId() == a.id {
			a.jobs[name] = modelJob{source.GetStatus().GetEpoch(), !state.MayCollect(source, a.id)}
		}
	}
}

// answer is a report that arrives at the leader, which answers it from a fresh state.
func (m *model) answer(a *modelAgent, life int, stopped map[string]uint64, asked time.Time) {
	m.beats[a.id] = m.now
	m.commit(func(c *statev1.Command) {
		c.Op = &statev1.Command_ObserveHost{ObserveHost: &statev1.ObserveHost{Id: a.id, State: novacronv1.HostState_HOST_STATE_UP, Info: &novacronv1.HostInfo{}}}
	})
	observed := &statev1.ObserveMetricSources{HostId: a.id}
	for name, epoch := range stopped {
		observed.Sources = append(observed.Sources, &statev1.MetricSourceObservation{Source: name, Epoch: epoch, Stopped: true})
	}
	m.commit(func(c *statev1.Command) { c.Op = &statev1.Command_ObserveMetricSources{ObserveMetricSources: observed} })
	var grants []metric.Grant
	for name, record := range m.store.View().MetricSources("") {
		if state.MayCollect(record.GetSource(), a.id) {
			grants = append(grants, metric.Grant{Source: name, Epoch: record.GetSource().GetStatus().GetEpoch(), Duration: metric.Lease})
		}
	}
	m.later(func() {
		if a.life == life && !a.cut {
			a.leases.Renew(asked, grants)
		}
	})
}

// lead does what the leader's loops do.
func (m *model) lead() {
	for _, a := range m.agents {
		if m.now.Sub(m.beats[a.id]) > DownAfter {
			m.commit(func(c *statev1.Command) {
				c.Op = &statev1.Command_ObserveHost{ObserveHost: &statev1.ObserveHost{Id: a.id, State: novacronv1.HostState_HOST_STATE_DOWN}}
			})
		}
	}
	view := m.store.View()
	m.waits.See(view, m.now)
	for _, op := range PlanSources(view, func(name string) bool { return m.waits.Over(name, m.now) }).ops() {
		m.commit(op)
	}
}

// collects tells whether an agent does, at this instant.
func (m *model) collects(a *modelAgent, name string) bool {
	job, has := a.jobs[name]
	_, holds := a.leases.Until(name, job.epoch, m.clock(a))
	return has && m.awake(a) && !job.ending && holds
}

// look counts who collects at this instant.
func (m *model) look() {
	clear(m.runners)
	for _, a := range m.agents {
		for name := range a.jobs {
			if m.collects(a, name) {
				m.runners[name]++
				m.starts++
				require.LessOrEqual(m.t, m.runners[name], 1, "%s has two collectors at %s", name, m.now)
			}
		}
	}
}

// TestNeverTwoCollectors: whatever is cut, killed, stopped, restored and elected, on clocks that run 3 % wrong, a source
// has one collector at most at every instant; and when all is well again, each has one.
func TestNeverTwoCollectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t, rapid.Uint64().Draw(t, "seed"))
		for range 900 {
			m.step()
		}
		m.settle()
		for range 250 {
			m.step()
		}
		for _, name := range modelSources {
			record, ok := m.store.View().MetricSource(name)
			require.True(t, ok, name)
			require.Equal(t, 1, m.runners[name], fmt.Sprint(record))
		}
		require.Positive(t, m.starts)
	})
}

// settle makes everything well.
func (m *model) settle() {
	m.calm = true
	for _, a := range m.agents {
		a.cut = false
		if !a.alive || a.stopped.After(m.now) {
			m.restart(a)
		}
		m.commit(func(c *statev1.Command) {
			c.Op = &statev1.Command_SetHostDraining{SetHostDraining: &statev1.SetHostDraining{HostId: a.id}}
		})
	}
	for range 200 { // what is being deleted has to be gone first
		m.step()
	}
	for _, name := range modelSources {
		m.commit(put(name, false))
		m.commit(change(name, false))
	}
}

// TestTheLastLeaseRunsOutBeforeTheNextHostBegins in the worst case: the host is cut off in the moment after its lease, its
// clock is slow, and the next one begins at once.
func TestTheLastLeaseRunsOutBeforeTheNextHostBegins(t *testing.T) {
	for seed := range uint64(20) {
		m := newModel(t, seed)
		m.calm = true
		var owner *modelAgent
		for m.runners["node"] == 0 {
			m.step()
		}
		record, _ := m.store.View().MetricSource("node")
		for _, a := range m.agents {
			if a.id == record.GetSource().GetStatus().GetHostId() {
				owner = a
			}
		}
		owner.rate = 0.97
		for range 40 {
			m.step()
		}
		owner.report = time.Time{}
		for range 3 { // a lease that was just asked for
			m.step()
		}
		owner.cut = true
		m.commit(func(c *statev1.Command) {
			c.Op = &statev1.Command_SetHostDraining{SetHostDraining: &statev1.SetHostDraining{HostId: owner.id, Draining: true}}
		})
		_, holds := owner.leases.Until("node", record.GetSource().GetStatus().GetEpoch(), m.clock(owner))
		require.True(t, holds)
		moved := func() bool {
			return slices.ContainsFunc(m.agents, func(a *modelAgent) bool { return a != owner && m.collects(a, "node") })
		}
		for steps := 0; !moved(); steps++ {
			require.Less(t, steps, 400, "it does not move")
			for _, a := range m.agents {
				a.report = time.Time{}
			}
			m.step()
		}
	}
}
