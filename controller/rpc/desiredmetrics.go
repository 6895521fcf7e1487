package rpc

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/novacron/novacron/controller/state"
	"github.com/novacron/novacron/metric"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// progressEvery is how often the mere progress of a source is committed. States and errors are at once.
const progressEvery = 30 * time.Second

// metricsFor is what a host shall collect besides itself, and what it may store. Secrets are in it, in plain, for the host
// that has the source and no other; this stream ends at the host's certificate.
func (s *desiredService) metricsFor(view state.View, hostID string) *agentv1.MetricIntent {
	intent := &agentv1.MetricIntent{Limits: limitsFor(view, hostID)}
	for _, definition := range view.MetricDefinitions("") {
		intent.Definitions = append(intent.Definitions, definition)
	}
	intent.Sources = &agentv1.MetricSourceNames{}
	for name, record := range view.MetricSources("") {
		intent.Sources.Names = append(intent.Sources.Names, name)
		source := record.GetSource()
		if source.GetStatus().GetHostId() != hostID {
			continue
		}
		job := &agentv1.MetricJob{
			Spec: source.GetSpec(), Generation: source.GetGeneration(), Epoch: source.GetStatus().GetEpoch(),
			Ending: !state.MayCollect(source, hostID), Watermark: source.GetStatus().GetWatermark(),
			ContinuedEpoch: source.GetStatus().GetContinuedEpoch(), Pauses: source.GetStatus().GetPauses(),
			Spent: source.GetStatus().GetSpent(),
		}
		if !job.GetEnding() {
			s.unseal(job, record)
		}
		intent.Jobs = append(intent.Jobs, job)
	}
	return intent
}

func (s *desiredService) unseal(job *agentv1.MetricJob, record *statev1.MetricSourceRecord) {
	if record.GetSecret() == nil {
		return
	}
	secret, err := s.openSecret(record)
	if err != nil {
		job.SecretProblem = err.Error()
		s.Logger.Error("the secret of a metric source cannot be given to its host", "source", job.GetSpec().GetName(), "error", err)
		return
	}
	job.Secret = secret
}

// sourceIntent is what a host shall do about a source.
type sourceIntent struct {
	owned, ending     bool
	epoch, generation uint64
}

func sourceIntentOf(record *statev1.MetricSourceRecord, hostID string) sourceIntent {
	source := record.GetSource()
	if source.GetStatus().GetHostId() != hostID {
		return sourceIntent{}
	}
	return sourceIntent{owned: true, ending: !state.MayCollect(source, hostID), epoch: source.GetStatus().GetEpoch(), generation: source.GetGeneration()}
}

// concernsMetrics tells whether a change alters what a host shall collect, or what it may store.
func concernsMetrics(change state.Change, hostID string) bool {
	switch change.Record().(type) {
	case *novacronv1.MetricDefinition, *statev1.MetricForwardRecord:
		return true
	case *statev1.MetricLimitsRecord:
		before, _ := change.Before.(*statev1.MetricLimitsRecord)
		after, _ := change.After.(*statev1.MetricLimitsRecord)
		return !proto.Equal(before.GetLimits(), after.GetLimits()) || !proto.Equal(shareOf(before, hostID), shareOf(after, hostID))
	case *statev1.MetricSourceRecord:
		before, _ := change.Before.(*statev1.MetricSourceRecord)
		after, _ := change.After.(*statev1.MetricSourceRecord)
		deleted := after == nil // its host removes what it keeps of it, and so do those that had it before
		return deleted || sourceIntentOf(before, hostID) != sourceIntentOf(after, hostID)
	}
	return false
}

// leases are those of the host's sources. The state that they are given from is proven, here, to be no older than the
// call: see metric.Lease.
func (s *desiredService) leases(ctx context.Context, hostID string) (leases []*agentv1.MetricLease, err error) {
	if !hasSources(s.Store.View(), hostID) {
		return nil, nil
	}
	if err := s.Consensus.ReadIndex(ctx); err != nil {
		return nil, err
	}
	for name, record := range s.Store.View().MetricSources("") {
		if state.MayCollect(record.GetSource(), hostID) {
			leases = append(leases, &agentv1.MetricLease{
				Source: name, Epoch: record.GetSource().GetStatus().GetEpoch(), Duration: durationpb.New(metric.Lease),
			})
		}
	}
	return leases, nil
}

func hasSources(view state.View, hostID string) bool {
	for _, record := range view.MetricSources("") {
		if record.GetSource().GetStatus().GetHostId() == hostID {
			return true
		}
	}
	return false
}

// reportMetricJobs commits what is new about the sources of a host.
func (s *desiredService) reportMetricJobs(ctx context.Context, view state.View, hostID string, seen []*agentv1.MetricJobObservation) error {
	news := &statev1.ObserveMetricSources{HostId: hostID}
	for _, o := range seen {
		record, ok := view.MetricSource(o.GetSource())
		if !ok || record.GetSource().GetStatus().GetHostId() != hostID || !isSourceNews(record.GetSource().GetStatus(), o, s.Now()) {
			continue
		}
		news.Sources = append(news.Sources, &statev1.MetricSourceObservation{
			Source: o.GetSource(), Epoch: o.GetEpoch(), ObservedGeneration: o.GetObservedGeneration(), Stopped: o.GetStopped(),
			LastSuccessTime: o.GetLastSuccessTime(), LastError: clip(o.GetLastError()), LastErrorTime: o.GetLastErrorTime(),
			Series: o.GetSeries(), ForecastUnits: o.GetForecastUnits(), ForecastCost: o.GetForecastCost(), Watermark: o.GetWatermark(),
			Pauses: bounded(o.GetPauses()), Spent: dayOf(o.GetSpent()),
		})
	}
	if len(news.GetSources()) == 0 {
		return nil
	}
	_, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_ObserveMetricSources{ObserveMetricSources: news}
	})
	return err
}

// isSourceNews tells whether an observation is worth a commit: one of another epoch is not heard, mere progress now and
// then.
func isSourceNews(known *novacronv1.MetricSourceStatus, o *agentv1.MetricJobObservation, now time.Time) bool {
	if known.GetEpoch() != o.GetEpoch() {
		return false
	}
	if known.GetState() == novacronv1.MetricSourceState_METRIC_SOURCE_STATE_ENDING {
		return o.GetStopped()
	}
	fresh := known.GetState() == novacronv1.MetricSourceState_METRIC_SOURCE_STATE_STARTING && o.GetLastSuccessTime() != nil && !o.GetStopped()
	if fresh || known.GetLastError() != clip(o.GetLastError()) || known.GetObservedGeneration() < o.GetObservedGeneration() {
		return true
	}
	if !slices.EqualFunc(known.GetPauses(), bounded(o.GetPauses()), samePause) {
		return true
	}
	progressed := o.GetLastSuccessTime().AsTime().After(known.GetLastSuccessTime().AsTime()) || o.GetWatermark().AsTime().After(known.GetWatermark().AsTime()) ||
		o.GetLastErrorTime().AsTime().After(known.GetLastErrorTime().AsTime())
	return progressed && now.Sub(known.GetUpdateTime().AsTime()) >= progressEvery
}

// maxPauses and maxPauseText bound what a source can tell of APIs that must not be called.
const (
	maxPauses    = 100
	maxPauseText = 200
)

// bounded leaves of the pauses that a host tells what the state has room for.
func bounded(told []*novacronv1.MetricPause) (kept []*novacronv1.MetricPause) {
	for _, p := range told[:min(len(told), maxPauses)] {
		if len(p.GetAccount()) <= maxPauseText && len(p.GetApi()) <= maxPauseText && p.GetUntilTime().IsValid() {
			kept = append(kept, p)
		}
	}
	return kept
}

// dayOf leaves out what is no day.
func dayOf(spent *novacronv1.MetricSpending) *novacronv1.MetricSpending {
	if len(spent.GetDay()) != len(time.DateOnly) {
		return nil
	}
	return spent
}

func samePause(a, b *novacronv1.MetricPause) bool { return proto.Equal(a, b) }

// maxSourceError bounds what a source can put into the cluster's state.
const maxSourceError = 500

func clip(text string) string {
	if len(text) <= maxSourceError {
		return text
	}
	cut := maxSourceError
	for cut > 0 && text[cut]&0xc0 == 0x80 { // not within a character
		cut--
	}
	return text[:cut] + "…"
}
