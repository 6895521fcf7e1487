package shard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/index"
)

// limitsFile is the name of the limits in a shard's folder. It is not there as long as nobody has set any.
const limitsFile = "limits.json"

// limitsVersion is the version of the file that this program writes, and the only one that it reads. A limit that only adds to
// those that are there is no new version: programs before it keep to the others.
const limitsVersion = 1

const jobLabel = "job"

// SeriesLimits keep out new series beside Options.Limits, and can be changed while the shard is open; 0 is the limit of
// Options.Limits. Series that are there go on.
type SeriesLimits struct {
	// Series are all of the shard, PerMetric those of one metric, PerJob those of one value of the label job.
	Series    int `json:"series,omitempty"`
	PerMetric int `json:"per_metric,omitempty"`
	PerJob    int `json:"per_job,omitempty"`
	// Metrics and Jobs are limits of single ones, by name.
	Metrics map[string]int `json:"metrics,omitempty"`
	Jobs    map[string]int `json:"jobs,omitempty"`
	// Cluster is the limit for the series of all shards together, of which this one may have Share; 0 is none.
	Cluster int `json:"cluster,omitempty"`
	Share   int `json:"share,omitempty"`
}

// savedLimits are limits as they lie in the file.
type savedLimits struct {
	Version int `json:"version"`
	SeriesLimits
}

func (l SeriesLimits) equal(o SeriesLimits) bool {
	return l.Series == o.Series && l.PerMetric == o.PerMetric && l.PerJob == o.PerJob && l.Cluster == o.Cluster && l.Share == o.Share &&
		maps.Equal(l.Metrics, o.Metrics) && maps.Equal(l.Jobs, o.Jobs)
}

// over are the limits with those of the options where none is set.
func (l SeriesLimits) over(options index.Limits) SeriesLimits {
	for _, one := range []struct {
		limit    *int
		fallback int
	}{{&l.Series, options.Series}, {&l.PerMetric, options.SeriesPerMetric}, {&l.PerJob, options.SeriesPerJob}} {
		if *one.limit == 0 {
			*one.limit = one.fallback
		}
	}
	return l
}

// store is what admission needs of an engine.
type store interface {
	Limit(index.Limits)
	Known(labels.Labels) (engine.Ref, bool)
	Live() int
	Having(name, value string) int
}

// admission lets new series in. All of a shard's series are made through it.
type admission struct {
	store store
	// making is held while a series is made, so that no two take the same last place.
	making sync.Mutex
	// changing is held while limits are set, until they are saved. unsaved says that the file lacks those that hold.
	changing sync.Mutex
	unsaved  bool

	mu     sync.RWMutex
	given  SeriesLimits
	limits SeriesLimits
	set    bool
}

// SeriesLimits are those that were set last.
func (s *Shard) SeriesLimits() SeriesLimits {
	s.admission.mu.RLock()
	defer s.admission.mu.RUnlock()
	return s.admission.given
}

// Live is the number of series that limits count: those with samples that are not in a block yet.
func (s *Shard) Live() int { return s.admission.store.Live() }

// LimitSeries sets the limits for new series, and remembers them for the next start. After an error they hold, and are
// saved with the next call, whether that changes them or not.
func (s *Shard) LimitSeries(limits SeriesLimits) error {
	if s.options.ReadOnly {
		return engine.ErrReadOnly
	}
	a := &s.admission
	a.changing.Lock()
	defer a.changing.Unlock()
	if !a.isSet() || !s.SeriesLimits().equal(limits) {
		s.keep(limits)
		a.unsaved = s.options.Dir != ""
	}
	if !a.unsaved {
		return nil
	}
	if err := saveJSON(s.path(limitsFile), savedLimits{limitsVersion, limits}); err != nil {
		return fmt.Errorf("the limits of series hold, and are not those of the next start: %w", err)
	}
	a.unsaved = false
	return nil
}

func (s *Shard) readLimits() error {
	path := s.path(limitsFile)
	if path == "" || s.options.ReadOnly {
		return nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var limits SeriesLimits
	if err == nil {
		limits, err = decodeLimits(text)
	}
	if err != nil {
		s.options.Logger.Warn("limits of series are the default until the cluster tells them: the file cannot be read", "file", path, "error", err)
		return nil
	}
	s.keep(limits)
	return nil
}

// decodeLimits passes over fields that it does not know: all the others hold on.
func decodeLimits(text []byte) (SeriesLimits, error) {
	var file savedLimits
	if err := json.Unmarshal(text, &file); err != nil {
		return SeriesLimits{}, err
	}
	if file.Version != limitsVersion {
		return SeriesLimits{}, fmt.Errorf("version %d: this program reads version %d", file.Version, limitsVersion)
	}
	return file.SeriesLimits, nil
}

// keep makes limits hold. The engine's own lie above all of them, and stay a bound for whoever makes series otherwise.
func (s *Shard) keep(limits SeriesLimits) {
	a, wide := &s.admission, s.options.Limits
	all := limits.over(wide)
	wide.Series, wide.SeriesPerMetric, wide.SeriesPerJob = all.Series, widest(all.PerMetric, all.Metrics), widest(all.PerJob, all.Jobs)
	a.making.Lock()
	defer a.making.Unlock()
	a.store.Limit(wide)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.given, a.limits, a.set = limits, all, true
}

// widest is the largest of limits, where 0 is none.
func widest(limit int, single map[string]int) int {
	for _, one := range single {
		if one == 0 || limit == 0 {
			return 0
		}
		limit = max(limit, one)
	}
	return limit
}

func (a *admission) isSet() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.set
}

// ref finds the series with these labels, or makes it where the limits let it in.
func (s *Shard) ref(lset labels.Labels) (engine.Ref, error) {
	a := &s.admission
	if !a.isSet() {
		return s.engine.Ref(lset)
	}
	if ref, known := a.store.Known(lset); known {
		return ref, nil
	}
	a.making.Lock()
	defer a.making.Unlock()
	if ref, known := a.store.Known(lset); known {
		return ref, nil
	}
	if refusal := a.refuse(lset); refusal != nil {
		return 0, refusal
	}
	return s.engine.Ref(lset)
}

// refuse says why a new series is not let in.
func (a *admission) refuse(lset labels.Labels) *engine.Refusal {
	a.mu.RLock()
	defer a.mu.RUnlock()
	l, live, name, job := a.limits, a.store.Live(), lset.Get(nameLabel), lset.Get(jobLabel)
	switch {
	case l.Cluster > 0 && live >= l.Share:
		return full(engine.ReasonClusterLimit, lset, fmt.Sprintf("this host has %d series, its share of the %d that the cluster may have is %d", live, l.Cluster, l.Share), "--cluster-series N")
	case l.Series > 0 && live >= l.Series:
		return full(engine.ReasonSeriesLimit, lset, fmt.Sprintf("this host has %d series, its limit is %d", live, l.Series), "--series-per-host N")
	}
	if n, limit := a.store.Having(nameLabel, name), single(l.Metrics, name, l.PerMetric); limit > 0 && n >= limit {
		return full(engine.ReasonMetricLimit, lset, fmt.Sprintf("the metric %s has %d series on this host, its limit is %d", name, n, limit), "--metric "+name+"=N")
	}
	if job == "" {
		return nil
	}
	if n, limit := a.store.Having(jobLabel, job), single(l.Jobs, job, l.PerJob); limit > 0 && n >= limit {
		return full(engine.ReasonJobLimit, lset, fmt.Sprintf("the job %.80q has %d series on this host, its limit is %d", job, n, limit), fmt.Sprintf("--job %.80q=N", job))
	}
	return nil
}

// single is the limit of one name, which may have its own.
func single(own map[string]int, name string, limit int) int {
	if one, has := own[name]; has {
		return one
	}
	return limit
}

// shownLabels bounds the text of a refused series.
const shownLabels = 300

func full(reason engine.Reason, lset labels.Labels, what, flag string) *engine.Refusal {
	series := lset.String()
	if len(series) > shownLabels {
		series = series[:shownLabels] + "…"
	}
	return &engine.Refusal{Reason: reason, Index: -1, Detail: fmt.Sprintf(
		"new series %s: %s: see which label makes so many with «novacron metric cardinality --metric %s» and drop it, or raise the limit with «novacron metric limits set %s»",
		series, what, lset.Get(nameLabel), flag)}
}

// seriesBounds are the limits that count all series of the shard, for its own metrics.
func (s *Shard) seriesBounds() map[string]int {
	a := &s.admission
	a.mu.RLock()
	defer a.mu.RUnlock()
	bounds := map[string]int{"host": s.options.Limits.Series}
	if a.set {
		bounds["host"] = a.limits.Series
	}
	if a.limits.Cluster > 0 {
		bounds["cluster"] = a.limits.Share
	}
	return bounds
}
