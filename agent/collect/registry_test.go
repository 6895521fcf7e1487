package collect

import (
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb"
)

func TestCanonicalMetricsFollowTheirRules(t *testing.T) {
	seen := map[string]bool{}
	for _, def := range Canonical() {
		require.False(t, seen[def.Name], "%s twice", def.Name)
		seen[def.Name] = true
		require.Regexp(t, `^(vm|host|collector)_[a-z0-9_]+$`, def.Name)
		require.Equal(t, def.Type == TypeCounter, strings.HasSuffix(def.Name, "_total"), "%s is a %s", def.Name, def.Type)
		require.NotEmpty(t, def.Help, def.Name)
		require.True(t, strings.HasSuffix(def.Help, "."), "%s: help is a sentence", def.Name)
		require.NotEmpty(t, def.Sources, def.Name)
		require.NotRegexp(t, `percent|milli|kib|_ms_`, def.Name)
		stem := strings.TrimSuffix(def.Name, "_total")
		switch def.Unit {
		case "":
			require.NotRegexp(t, `_(seconds|bytes|ratio|hertz|celsius)$`, stem)
		default:
			require.True(t, strings.HasSuffix(stem, "_"+def.Unit), "%s is in %s", def.Name, def.Unit)
		}
	}
	require.Greater(t, len(seen), 150)
}

func TestAdmit(t *testing.T) {
	labels := func(more ...string) map[string]string {
		l := map[string]string{"vm_id": "1", "vm_name": "web"}
		for i := 0; i+1 < len(more); i += 2 {
			l[more[i]] = more[i+1]
		}
		return l
	}
	now := clock("12:00:00")
	for _, c := range []struct {
		name   string
		metric Metric
		limits Limits
		reason Reason
		says   string
	}{
		{"fine", Metric{Name: "vm_vcpus", Labels: labels(), Value: 2}, Limits{}, "", ""},
		{"a stale marker", Metric{Name: "vm_vcpu_seconds_total", Labels: labels("vcpu", "0"), Value: Stale()}, Limits{}, "", ""},
		{"an open label", Metric{Name: "vm_tags", Labels: labels("tag_team", "a"), Value: 1}, Limits{}, "", ""},
		{"passed through", Metric{Name: "aws_lambda_errors_sum", Labels: map[string]string{"dimension_x": "y"}}, Limits{}, "", ""},
		{"unknown", Metric{Name: "my_metric"}, Limits{}, ReasonUnknownMetric, "metric my_metric is not in the registry; declare it"},
		{"undeclared where that is allowed", Metric{Name: "my_metric"}, Limits{Undeclared: true}, "", ""},
		{"unknown name of ours", Metric{Name: "vm_foo", Labels: labels()}, Limits{Undeclared: true}, ReasonUnknownMetric, "vm_foo is not in the registry"},
		{"wrong type", Metric{Name: "vm_vcpus", Type: TypeCounter, Labels: labels()}, Limits{}, ReasonWrongType, "metric vm_vcpus is a counter, the registry says gauge"},
		{"wrong unit", Metric{Name: "vm_uptime_seconds", Unit: "ms", Labels: labels()}, Limits{}, ReasonWrongUnit, `is in "ms", the registry says "seconds"; convert it`},
		{"wrong label", Metric{Name: "vm_vcpus", Labels: labels("ip", "10.0.0.1")}, Limits{}, ReasonBadLabel, "metric vm_vcpus does not have the label ip; allowed are cloud_account_id,"},
		{"no machine", Metric{Name: "vm_vcpus"}, Limits{}, ReasonMissingLabel, "set the label vm_id"},
		{"negative counter", Metric{Name: "vm_cpu_seconds_total", Labels: labels(), Value: -1}, Limits{}, ReasonBadValue, "-1 is no value of a counter"},
		{"infinite", Metric{Name: "vm_load1", Labels: labels(), Value: math.Inf(1)}, Limits{}, ReasonBadValue, "is no measurement"},
		{"bad name", Metric{Name: "a b"}, Limits{Undeclared: true}, ReasonUnknownMetric, `metric name "a b"`},
		{"bad label", Metric{Name: "x", Labels: map[string]string{"__a": ""}}, Limits{Undeclared: true}, ReasonBadLabel, `label "__a"`},
		{"long value", Metric{Name: "x", Labels: map[string]string{"a": strings.Repeat("x", 5000)}}, Limits{Undeclared: true}, ReasonBadLabel, "has 5000 bytes; at most 4096"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.metric.Timestamp = now
			admitted, refused := NewRegistry().Admit([]Metric{c.metric}, c.limits)
			if c.reason == "" {
				require.Empty(t, refused)
				require.Len(t, admitted, 1)
				return
			}
			require.Empty(t, admitted)
			require.Len(t, refused, 1)
			require.Equal(t, c.reason, refused[0].Reason)
			require.Contains(t, refused[0].Error(), c.says)
		})
	}
}

func TestAdmitFillsInAndLimits(t *testing.T) {
	now := clock("12:00:00")
	shared := map[string]string{"host": "h1"}
	batch := []Metric{
		{Name: "host_uptime_seconds", Labels: shared, Source: "host", Timestamp: now},
		{Name: "host_load1", Labels: shared, Timestamp: now},
		{Name: "host_load5", Labels: shared},
		{Name: "host_load15", Labels: shared, Timestamp: now},
	}
	admitted, refused := NewRegistry().Admit(batch, Limits{MaxSamples: 2})
	require.Len(t, admitted, 2)
	require.Equal(t, "seconds", admitted[0].Unit)
	require.Equal(t, TypeGauge, admitted[0].Type)
	require.Equal(t, map[string]string{"host": "h1", "source": "host"}, admitted[0].Labels)
	require.Equal(t, map[string]string{"host": "h1"}, shared, "what was handed in stays")
	require.Len(t, refused, 2)
	require.Equal(t, []int{2, 3}, []int{refused[0].Index, refused[1].Index})
	require.Equal(t, ReasonBadValue, refused[0].Reason)
	require.Equal(t, ReasonTooMany, refused[1].Reason)
	require.Contains(t, refused[1].Detail, "yields 4 samples, at most 2 are taken")
}

func TestDeclare(t *testing.T) {
	r := NewRegistry()
	orders := MetricDefinition{Name: "shop_orders_total", Type: TypeCounter, Help: "Orders.", Labels: []string{"country"}, Owner: "shop"}
	require.NoError(t, r.Declare([]MetricDefinition{orders}))
	got, ok := r.Lookup("shop_orders_total")
	require.True(t, ok)
	require.Equal(t, orders, got)
	_, refused := r.Admit([]Metric{{Name: "shop_orders_total", Labels: map[string]string{"town": "x"}, Timestamp: clock("12:00:00")}}, Limits{Undeclared: true})
	require.Contains(t, refused[0].Detail, "does not have the label town; allowed are country, host, instance, job, source")
	for says, def := range map[string]MetricDefinition{
		"kept for the registry":         {Name: "vm_mine", Type: TypeGauge, Help: "x"},
		"ends with _total":              {Name: "mine", Type: TypeCounter, Help: "x"},
		`type "rate"`:                   {Name: "mine", Type: "rate", Help: "x"},
		"say in help":                   {Name: "mine", Type: TypeGauge},
		`metric name "1x"`:              {Name: "1x", Type: TypeGauge, Help: "x"},
		`label "a-b"`:                   {Name: "mine", Type: TypeGauge, Help: "x", Labels: []string{"a-b"}},
		"shop_orders_total is declared": orders,
	} {
		require.ErrorContains(t, r.Declare([]MetricDefinition{orders, def}), says)
	}
	_, ok = r.Lookup("shop_orders_total")
	require.True(t, ok, "a refused declaration changes nothing")
	require.NoError(t, r.Declare(nil))
	_, ok = r.Lookup("shop_orders_total")
	require.False(t, ok)
	for _, def := range r.Definitions(Libvirt) {
		require.Contains(t, def.Sources, Libvirt)
	}
	require.Greater(t, len(r.Definitions()), len(r.Definitions(Libvirt, QemuGA)))
}

// TestDeclaredHistogram holds that one definition lets a histogram pass in both of its forms.
func TestDeclaredHistogram(t *testing.T) {
	r := NewRegistry()
	def := MetricDefinition{Name: "shop_wait_seconds", Type: TypeHistogram, Unit: "seconds", Help: "Waiting.", Labels: []string{"till"}}
	require.NoError(t, r.Declare([]MetricDefinition{def}))
	at := clock("12:00:00")
	labels := map[string]string{"till": "1", "job": "shop", "instance": "a"}
	bucket := map[string]string{"till": "1", "le": "+Inf"}
	admitted, refused := r.Admit([]Metric{
		{Name: "shop_wait_seconds_bucket", Labels: bucket, Value: 3, Timestamp: at},
		{Name: "shop_wait_seconds_count", Labels: labels, Value: 3, Timestamp: at},
		{Name: "shop_wait_seconds_sum", Labels: labels, Value: -3, Timestamp: at},
		{Name: "shop_wait_seconds", Labels: labels, Histogram: &histogram.FloatHistogram{}, Timestamp: at},
		{Name: "shop_wait_seconds_sum", Labels: bucket, Value: 3, Timestamp: at},
	}, Limits{})
	require.Len(t, admitted, 4)
	require.Equal(t, []MetricType{TypeCounter, TypeCounter, tsdb.TypeUnknown, TypeHistogram}, []MetricType{admitted[0].Type, admitted[1].Type, admitted[2].Type, admitted[3].Type})
	require.Len(t, refused, 1)
	require.Contains(t, refused[0].Detail, "shop_wait_seconds_sum does not have the label le")
	require.Len(t, r.Definitions(), len(NewRegistry().Definitions())+1, "its parts are no metrics of their own")
	require.ErrorContains(t, r.Declare([]MetricDefinition{def, {Name: "shop_wait_seconds_count", Type: TypeGauge, Help: "x"}}), "declared twice")

	require.NoError(t, r.Declare([]MetricDefinition{{Name: "shop_wait_seconds", Type: TypeGauge, Help: "x", Labels: []string{"till"}}}))
	_, refused = r.Admit([]Metric{{Name: "shop_wait_seconds", Histogram: &histogram.FloatHistogram{}, Timestamp: at}}, Limits{})
	require.Equal(t, ReasonWrongType, refused[0].Reason)
}
