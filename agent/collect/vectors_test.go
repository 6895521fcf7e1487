package collect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func clock(text string) time.Time {
	t, err := time.Parse(time.DateTime, "2026-07-01 "+text)
	if err != nil {
		panic(err)
	}
	return t
}

// TestVectors are the examples of the normalisation rules that conversions and accounts decide; those of hosts and
// domains are tested where they are read.
func TestVectors(t *testing.T) {
	convert := func(from func(string) (Conversion, bool), unit string, v float64) float64 {
		c, ok := from(unit)
		require.True(t, ok, unit)
		return c.Apply(v)
	}
	for _, v := range []struct {
		name      string
		got, want float64
	}{
		{"AWS CPUUtilization 37.5 %", convert(FromCloudWatch, "Percent", 37.5), 0.375},
		{"Azure Available Memory Percentage 30", 1 - convert(FromAzure, "Percent", 30), 0.7},
		{"GCP cpu/utilization 0.42 (10^2.%)", convert(FromUCUM, "10^2.%", 0.42), 0.42},
		{"GCP percent_used 42 (%)", convert(FromUCUM, "%", 42), 0.42},
	} {
		require.InDelta(t, v.want, v.got, 1e-15, v.name)
	}
	require.Equal(t, clock("12:05:00"), clock("12:00:00").Add(AWSBasic.Period), "a start stamps the end of its period")
}

func TestVectorNetworkIn(t *testing.T) {
	r := Reading{Kind: NativeDelta, Period: 5 * time.Minute, Through: clock("12:10:00"),
		Points: []Point{{clock("12:05:00"), 6000}, {clock("12:10:00"), 3000}}}
	a, points, late := Account{}.Advance(r)
	require.Equal(t, []Point{{clock("12:05:00"), 6000}, {clock("12:10:00"), 9000}}, points)
	require.Zero(t, late)
	require.InDelta(t, 10.0, (points[1].Value-points[0].Value)/300, 1e-12, "bytes per second in the second period")
	require.InDelta(t, 9000, a.Total, 0)
}

func TestVectorRewrittenBeforeFinal(t *testing.T) {
	ask := func(a Account, through string, second float64) (Account, []Point, int) {
		return a.Advance(Reading{Kind: NativeDelta, Period: 5 * time.Minute, Through: clock(through),
			Points: []Point{{clock("12:05:00"), 6000}, {clock("12:10:00"), second}}})
	}
	a, points, late := ask(Account{}, "12:05:00", 3000)
	require.Equal(t, []Point{{clock("12:05:00"), 6000}}, points)
	require.Zero(t, late)
	a, points, _ = ask(a, "12:05:00", 3300)
	require.Empty(t, points, "not final yet")
	a, points, late = ask(a, "12:10:00", 3300)
	require.Equal(t, []Point{{clock("12:10:00"), 9300}}, points)
	require.Zero(t, late)
	a, points, late = ask(a, "12:10:00", 3300)
	require.Empty(t, points, "applied once")
	require.Zero(t, late)
	a, points, late = ask(a, "12:10:00", 3400)
	require.Empty(t, points, "what is final stays")
	require.Equal(t, 1, late)
	_, _, late = ask(a, "12:10:00", 3400)
	require.Zero(t, late, "a change is counted once")
}

func TestVectorDiskOperations(t *testing.T) {
	_, points, _ := Account{}.Advance(Reading{Kind: NativeRate, Period: time.Minute, Through: clock("12:01:00"), Points: []Point{{clock("12:01:00"), 25}}})
	require.Equal(t, []Point{{clock("12:01:00"), 1500}}, points)
}

func TestVectorLoadBalanced(t *testing.T) {
	at := clock("12:01:00")
	sums := SumOver([]SeriesPoints{
		{Labels: map[string]string{"loadbalanced": "true", "instance": "1"}, Points: []Point{{at, 100}}},
		{Labels: map[string]string{"loadbalanced": "false", "instance": "1"}, Points: []Point{{at, 50}, {at.Add(time.Minute), 7}}},
	}, "instance")
	require.Equal(t, []SeriesPoints{{Labels: map[string]string{"instance": "1"}, Points: []Point{{at, 150}, {at.Add(time.Minute), 7}}}}, sums)
	_, points, _ := Account{Total: 1000, Last: clock("12:00:00")}.Advance(Reading{Kind: NativeDelta, Period: time.Minute, Through: at, Points: sums[0].Points})
	require.Equal(t, []Point{{at, 1150}}, points)
}

func TestGenericUnits(t *testing.T) {
	for _, u := range []struct {
		from   func(string) (Conversion, bool)
		unit   string
		base   string
		factor float64
	}{
		{FromCloudWatch, "Seconds", "seconds", 1}, {FromCloudWatch, "Milliseconds", "seconds", 1e-3}, {FromCloudWatch, "Microseconds", "seconds", 1e-6},
		{FromCloudWatch, "Bytes", "bytes", 1}, {FromCloudWatch, "Kilobytes", "bytes", 1 << 10}, {FromCloudWatch, "Megabytes", "bytes", 1 << 20},
		{FromCloudWatch, "Gigabytes", "bytes", 1 << 30}, {FromCloudWatch, "Terabytes", "bytes", 1 << 40}, {FromCloudWatch, "Megabytes/Second", "bytes_per_second", 1 << 20},
		{FromCloudWatch, "Bits", "bytes", 0.125}, {FromCloudWatch, "Kilobits", "bytes", 125}, {FromCloudWatch, "Megabits/Second", "bytes_per_second", 125e3},
		{FromCloudWatch, "Terabits", "bytes", 125e9}, {FromCloudWatch, "Percent", "ratio", 0.01}, {FromCloudWatch, "Count", "", 1},
		{FromCloudWatch, "Count/Second", "", 1}, {FromCloudWatch, "None", "", 1},
		{FromAzure, "Count", "", 1}, {FromAzure, "CountPerSecond", "per_second", 1}, {FromAzure, "Bytes", "bytes", 1}, {FromAzure, "BytesPerSecond", "bytes_per_second", 1},
		{FromAzure, "Seconds", "seconds", 1}, {FromAzure, "ByteSeconds", "byte_seconds", 1}, {FromAzure, "Cores", "cores", 1}, {FromAzure, "MilliSeconds", "seconds", 1e-3},
		{FromAzure, "Percent", "ratio", 0.01}, {FromAzure, "MilliCores", "cores", 1e-3}, {FromAzure, "NanoCores", "cores", 1e-9}, {FromAzure, "BitsPerSecond", "bytes_per_second", 0.125},
		{FromUCUM, "By", "bytes", 1}, {FromUCUM, "KiBy", "bytes", 1 << 10}, {FromUCUM, "MiBy", "bytes", 1 << 20}, {FromUCUM, "GiBy", "bytes", 1 << 30},
		{FromUCUM, "kBy", "bytes", 1e3}, {FromUCUM, "MBy", "bytes", 1e6}, {FromUCUM, "s", "seconds", 1}, {FromUCUM, "ms", "seconds", 1e-3}, {FromUCUM, "us", "seconds", 1e-6},
		{FromUCUM, "ns", "seconds", 1e-9}, {FromUCUM, "min", "seconds", 60}, {FromUCUM, "h", "seconds", 3600}, {FromUCUM, "d", "seconds", 86400}, {FromUCUM, "s{CPU}", "seconds", 1},
		{FromUCUM, "%", "ratio", 0.01}, {FromUCUM, "10^2.%", "ratio", 1}, {FromUCUM, "1", "", 1}, {FromUCUM, "{packet}", "", 1}, {FromUCUM, "By/s", "bytes_per_second", 1},
	} {
		c, ok := u.from(u.unit)
		require.True(t, ok, u.unit)
		require.Equal(t, u.base, c.Unit, u.unit)
		require.InEpsilon(t, u.factor, c.Factor, 1e-12, u.unit)
	}
	for _, from := range []func(string) (Conversion, bool){FromCloudWatch, FromAzure, FromUCUM} {
		_, ok := from("Furlongs")
		require.False(t, ok)
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		AWSName("AWS/Lambda", "ConcurrentExecutions", "Average"):                                  "aws_lambda_concurrent_executions_average",
		AWSName("My App/ü", "p99.9 Latency", "Sum"):                                               "aws_my_app_p99_9_latency_sum",
		AWSName("CWAgent", "CPUUtilization", "Maximum"):                                           "aws_cw_agent_cpu_utilization_maximum",
		AzureName("Microsoft.Storage/storageAccounts", "E2E Latency", "Average"):                  "azure_storage_storage_accounts_e2e_latency_average",
		GCPName("compute.googleapis.com/instance/uptime_total"):                                   "gcp_compute_googleapis_com_instance_uptime_total",
		DimensionLabel("FunctionName"):                                                            "dimension_function_name",
		GCPRegion("europe-west1-b"):                                                               "europe-west1",
		AzureID("/subscriptions/AB/resourceGroups/RG"):                                            "/subscriptions/ab/resourcegroups/rg",
		SeriesKey("a", map[string]string{"y": "1,z=\"2\"", "x": "0"}, "i"):                        `a,x="0",y="1,z=\"2\""|i`,
		SeriesKey("a", map[string]string{"y": "1"}, "") + SeriesKey("a", map[string]string{}, ""): `a,y="1"a`,
	} {
		require.Equal(t, want, got)
	}
}

func TestDistribution(t *testing.T) {
	require.Equal(t, []float64{10, 15, 20}, LinearBounds(2, 5, 10))
	require.Equal(t, []float64{1, 2, 4, 8}, ExponentialBounds(3, 2, 1))
	d := Distribution{Bounds: []float64{1, 2, 4}, Counts: []int64{1, 0, 2}, Count: 3, Mean: 2}
	d = d.Add(Distribution{Bounds: []float64{1, 2, 4}, Counts: []int64{0, 0, 0, 1}, Count: 1, Mean: 10})
	var values []float64
	var bounds []string
	for _, m := range d.Metrics("gcp_x", map[string]string{"l": "v"}, "gcm", clock("12:00:00"), Conversion{"seconds", 1e-3}) {
		values = append(values, m.Value)
		bounds = append(bounds, m.Name+m.Labels["le"])
		require.Equal(t, "v", m.Labels["l"])
	}
	require.Equal(t, []string{"gcp_x_bucket0.001", "gcp_x_bucket0.002", "gcp_x_bucket0.004", "gcp_x_bucket+Inf", "gcp_x_sum", "gcp_x_count"}, bounds)
	require.InDeltaSlice(t, []float64{1, 1, 3, 4, 0.016, 4}, values, 1e-12)
}
