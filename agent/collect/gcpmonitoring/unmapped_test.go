package gcpmonitoring

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/api/distribution"
	"google.golang.org/genproto/googleapis/api/metric"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/gcpmonitoring/fakecloud"
)

const cloudSQL = "cloudsql.googleapis.com/database/"

// passing puts types of another service into the cloud.
func (w *world) passing(typ, unit string, kind metric.MetricDescriptor_MetricKind, value metric.MetricDescriptor_ValueType, v *monitoringpb.TypedValue) {
	w.fake.Metrics = append(w.fake.Metrics, fakecloud.Metric{
		MetricDescriptor: fakecloud.Describe(typ, unit, kind, value, time.Minute), Resource: "cloudsql_database",
		Labels: func(fakecloud.Instance) []map[string]string { return one("lockType", "row") },
		Value:  func(fakecloud.Instance, map[string]string, time.Time) *monitoringpb.TypedValue { return v },
	})
}

// TestUnmapped passes other types through: a call each, off unless they are asked for, mapped ones never twice.
func TestUnmapped(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.traffic()
		w.passing(cloudSQL+"disk/readLatency", "ms", gaugeKind, doubleType, fakecloud.Double(250))
		w.passing(cloudSQL+"uptime", "h", cumulativeKind, intType, fakecloud.Int(2))
		w.passing(cloudSQL+"queries", "{query}", deltaKind, intType, fakecloud.Int(7))
		w.passing(cloudSQL+"up", "", gaugeKind, metric.MetricDescriptor_BOOL, fakecloud.Bool(true))
		w.passing(cloudSQL+"state", "", gaugeKind, metric.MetricDescriptor_STRING, fakecloud.Text("RUNNING"))
		w.metric(instancePrefix+"gpu/utilization", "%", gaugeKind, 50, tl("instance_name", "one", "gpu_number", "0"))
		w.open()
		w.wait(5 * time.Minute)
		w.whole()
		require.Equal(w.t, 1, w.fake.Calls["ListTimeSeries"], "the mapped type alone")

		w.cfg.Unmapped = []string{cloudSQL, instancePrefix}
		w.open()
		w.wait(5 * time.Minute)
		calls := w.fake.Calls["ListTimeSeries"]
		metrics := w.whole()
		require.Equal(w.t, calls+6, w.fake.Calls["ListTimeSeries"], "five that pass and the mapped one; no string")
		sql := tl("cloud_provider", "gcp", "cloud_account_id", testProject, "dimension_zone", "europe-west4-a", "dimension_instance_id", "11", "dimension_lock_type", "row")
		for _, want := range []struct {
			name   string
			typ    collect.MetricType
			unit   string
			value  float64
			labels map[string]string
		}{
			{"gcp_cloudsql_googleapis_com_database_disk_read_latency", collect.TypeGauge, "seconds", 0.25, sql},
			{"gcp_cloudsql_googleapis_com_database_uptime", collect.TypeCounter, "seconds", 7200, sql},
			{"gcp_cloudsql_googleapis_com_database_queries", collect.TypeGauge, "", 7, sql},
			{"gcp_cloudsql_googleapis_com_database_up", collect.TypeGauge, "", 1, sql},
			{"gcp_compute_googleapis_com_instance_gpu_utilization", collect.TypeGauge, "ratio", 0.5, tl("cloud_provider", "gcp", "cloud_account_id", testProject, "cloud_region", "europe-west4", "vm_id", "11", "vm_name", "one", "dimension_gpu_number", "0")},
		} {
			found := find(metrics, want.name)
			require.NotEmpty(w.t, found, want.name)
			got := found[0]
			require.Equal(w.t, want.typ, got.Type, want.name)
			require.Equal(w.t, want.unit, got.Unit, want.name)
			require.Equal(w.t, want.labels, got.Labels, want.name)
			require.InDelta(w.t, want.value, got.Value, 1e-12, want.name)
		}
		require.Empty(w.t, w.refused)
		require.Empty(w.t, find(metrics, collect.GCPName(typeReceived)), "it has a canonical name")

		defs, err := w.c.ListAvailableMetrics(w.t.Context())
		require.NoError(w.t, err)
		types := map[string]collect.MetricType{}
		for _, d := range defs {
			types[d.Name] = d.Type
		}
		require.Equal(w.t, collect.TypeCounter, types["gcp_cloudsql_googleapis_com_database_uptime"])
		require.NotContains(w.t, types, "gcp_cloudsql_googleapis_com_database_state")
		require.NotContains(w.t, types, collect.GCPName(typeReceived))
	})
}

// TestHistograms has distributions of each kind and form of buckets.
func TestHistograms(t *testing.T) {
	linear := &distribution.Distribution_BucketOptions{Options: &distribution.Distribution_BucketOptions_LinearBuckets{LinearBuckets: &distribution.Distribution_BucketOptions_Linear{NumFiniteBuckets: 2, Width: 10, Offset: 0}}}
	exponential := &distribution.Distribution_BucketOptions{Options: &distribution.Distribution_BucketOptions_ExponentialBuckets{ExponentialBuckets: &distribution.Distribution_BucketOptions_Exponential{NumFiniteBuckets: 2, GrowthFactor: 2, Scale: 5}}}
	explicit := &distribution.Distribution_BucketOptions{Options: &distribution.Distribution_BucketOptions_ExplicitBuckets{ExplicitBuckets: &distribution.Distribution_BucketOptions_Explicit{Bounds: []float64{0, 10, 20}}}}
	for name, c := range map[string]struct {
		kind    metric.MetricDescriptor_MetricKind
		options *distribution.Distribution_BucketOptions
		bounds  []float64
		typ     collect.MetricType
		// grows is by how much an amount is counted anew each period.
		grows float64
	}{
		"linear amounts":          {deltaKind, linear, []float64{0, 0.01, 0.02}, collect.TypeCounter, 1},
		"exponential amounts":     {deltaKind, exponential, []float64{0.005, 0.01, 0.02}, collect.TypeCounter, 1},
		"explicit since a start":  {cumulativeKind, explicit, []float64{0, 0.01, 0.02}, collect.TypeCounter, 0},
		"explicit as of the time": {gaugeKind, explicit, []float64{0, 0.01, 0.02}, collect.TypeGauge, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.add("11", "one")
				d := &distribution.Distribution{Count: 6, Mean: 12, BucketOptions: c.options, BucketCounts: []int64{1, 2, 3}}
				w.passing(cloudSQL+"latency", "ms", c.kind, metric.MetricDescriptor_DISTRIBUTION, fakecloud.Histogram(d))
				w.cfg.Unmapped = []string{cloudSQL}
				w.open()
				w.wait(4 * time.Minute)
				metrics := w.whole()
				const base = "gcp_cloudsql_googleapis_com_database_latency"
				third := func(name string, labels ...string) collect.Metric {
					found := find(metrics, name, labels...)
					require.GreaterOrEqual(w.t, len(found), 3, "%s %v", name, labels)
					return found[2]
				}
				times := 1 + 2*c.grows
				for i, below := range []float64{1, 3, 6} {
					le := strconv.FormatFloat(c.bounds[i], 'g', -1, 64)
					require.InDelta(w.t, below*times, third(base+"_bucket", "le", le).Value, 0)
				}
				require.InDelta(w.t, 6*times, third(base+"_bucket", "le", "+Inf").Value, 0)
				require.InDelta(w.t, 6*times, third(base+"_count").Value, 0)
				sum := third(base + "_sum")
				require.InDelta(w.t, 0.072*times, sum.Value, 1e-12)
				require.Equal(w.t, c.typ, sum.Type)
				require.Empty(w.t, w.refused)
			})
		})
	}
}
