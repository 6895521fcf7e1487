// Package jobs runs the sources of metrics that the cluster has given to this host, each while it holds a lease, and tells how they go.
package jobs

import (
	"context"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/metric"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// Source is what a collector is made of.
type Source struct {
	Spec *novacronv1.MetricSourceSpec
	// Secret gives what the collector proves itself by, as it is now: a file may have been replaced. It is nil where the
	// source has none.
	Secret func() ([]byte, error)
	// From is up to when another host has collected everything; zero where nobody has.
	From time.Time
	// Pauses are the APIs that must not be called yet, as the cluster knows.
	Pauses []collect.Pause
	// Spent is what another host has used of the day's budget, as the cluster knows.
	Spent collect.Spending
	// Dir is a folder of the source, for what has to outlive the agent. It is empty when another host had the source
	// in between: counters begin anew then, which rate() understands.
	Dir   string
	Meter *collect.Meter
}

// Store is where one of its states is kept, in its folder.
func (s Source) Store(name string) collect.StateStore { return storeIn(s.Dir, name) }

func storeIn(dir, name string) collect.StateStore {
	return collect.FileState{Path: filepath.Join(dir, name+".json")}
}

// Opened is a collector at hand.
type Opened struct {
	Collector collect.MetricsCollector
	Limits    collect.Limits
	// Close, when set, is called once the collector is not used any more.
	Close func() error
}

// Starter starts jobs; it is a collect.Runner.
type Starter interface {
	Start(ctx context.Context, job collect.Job) (stop func(), err error)
}

// Config is what a manager needs.
type Config struct {
	// Runner and Registry are those of the host; a nil Runner means that the host keeps no metrics.
	Runner   Starter
	Registry *collect.Registry
	// Sink takes the ends of the series of deleted sources; nil takes none.
	Sink collect.Sink
	// Open makes the collector of a source. Its error is reported to the cluster.
	Open func(ctx context.Context, source Source) (Opened, error)
	// Dir holds the folders of the sources.
	Dir string
	// Changed is told when there is something to report.
	Changed func()
	Logger  *slog.Logger
}

// Manager holds which sources are this host's and has them collected. Its methods are safe for concurrent use.
type Manager struct {
	cfg    Config
	leases metric.Leases
	wake   chan struct{}

	mu       sync.Mutex
	revision uint64
	wanted   map[string]*agentv1.MetricJob
	jobs     map[string]*job
	// ended are the epochs that are over for good on this host.
	ended map[string]uint64
	// known are the sources of the cluster as told last, until what is left of others has been removed.
	known *known
}

// New has no sources yet.
func New(cfg Config) *Manager {
	return &Manager{cfg: cfg, wake: make(chan struct{}, 1), wanted: map[string]*agentv1.MetricJob{}, jobs: map[string]*job{}, ended: map[string]uint64{}}
}

// Desired takes what the host shall collect and may store. Sets come in order; nil says nothing.
func (m *Manager) Desired(revision uint64, intent *agentv1.MetricIntent) {
	if intent == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if revision < m.revision {
		return
	}
	m.revision = revision
	m.declare(intent.GetDefinitions())
	wanted := map[string]*agentv1.MetricJob{}
	for _, one := range intent.GetJobs() {
		wanted[one.GetSpec().GetName()] = one
	}
	m.wanted = wanted
	m.known = knownOf(revision, intent.GetSources())
	maps.DeleteFunc(m.ended, func(name string, _ uint64) bool { return wanted[name] == nil })
	m.wakeUp()
}

// declare tells the registry of users' metrics. One that this release does not take is left out, and said.
func (m *Manager) declare(definitions []*novacronv1.MetricDefinition) {
	if m.cfg.Registry == nil {
		return
	}
	var custom []collect.MetricDefinition
	for _, given := range definitions {
		def := collect.MetricDefinition{
			Name: given.GetName(), Type: collect.MetricType(metric.TypeFromProto(given.GetType())), Unit: given.GetUnit(),
			Help: given.GetHelp(), Labels: given.GetLabels(), Owner: given.GetOwner(),
		}
		if err := def.Validate(); err != nil {
			m.cfg.Logger.Warn("a metric of the cluster is not taken here: its samples are refused", "error", err)
			continue
		}
		custom = append(custom, def)
	}
	if err := m.cfg.Registry.Declare(custom); err != nil {
		m.cfg.Logger.Warn("metrics of the cluster are not taken here: their samples are refused", "error", err)
	}
}

// Granted takes the leases of an answered report, which was made at a time.
func (m *Manager) Granted(asked time.Time, leases []*agentv1.MetricLease) {
	var grants []metric.Grant
	for _, l := range leases {
		grants = append(grants, metric.Grant{Source: l.GetSource(), Epoch: l.GetEpoch(), Duration: l.GetDuration().AsDuration()})
	}
	m.leases.Renew(asked, grants)
	m.wakeUp()
}

func (m *Manager) wakeUp() {
	select {
	case m.wake <- struct{}{}:
	default: // it is awake
	}
}

// Observations are how the sources of this host go, by name.
func (m *Manager) Observations() (all []*agentv1.MetricJobObservation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.wanted)) {
		want := m.wanted[name]
		o := &agentv1.MetricJobObservation{Source: name, Epoch: want.GetEpoch(), Stopped: m.ended[name] == want.GetEpoch()}
		if j := m.jobs[name]; j != nil && j.epoch() == want.GetEpoch() {
			j.told.describe(o)
			o.ObservedGeneration = j.want.GetGeneration()
		}
		if m.cfg.Runner == nil {
			o.LastError = "this host keeps no metrics, since its shard could not be opened: see the log of its agent"
		}
		all = append(all, o)
	}
	return all
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
