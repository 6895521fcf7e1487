package metric

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

func scrape(change func(*novacronv1.MetricSourceSpec)) *novacronv1.MetricSourceSpec {
	spec := &novacronv1.MetricSourceSpec{Name: "node-1", Kind: &novacronv1.MetricSourceSpec_Scrape{Scrape: &novacronv1.ScrapeMetricSource{Url: "https://10.0.0.1:9100/metrics"}}}
	change(spec)
	return spec
}

func aws(change func(*novacronv1.MetricSourceSpec)) *novacronv1.MetricSourceSpec {
	spec := &novacronv1.MetricSourceSpec{Name: "prod", Kind: &novacronv1.MetricSourceSpec_Aws{Aws: &novacronv1.AWSMetricSource{Regions: []string{"eu-central-1"}}}}
	change(spec)
	return spec
}

func TestDefaultsAreFilledInOnce(t *testing.T) {
	for want, given := range map[time.Duration]*novacronv1.MetricSourceSpec{
		15 * time.Second: scrape(func(*novacronv1.MetricSourceSpec) {}), 5 * time.Minute: aws(func(*novacronv1.MetricSourceSpec) {}),
	} {
		once := Normalise(given)
		require.Equal(t, want, once.GetInterval().AsDuration())
		require.Nil(t, given.GetInterval(), "what was given is left as it was")
		require.True(t, proto.Equal(once, Normalise(once)))
		require.NoError(t, Validate(once))
	}
	require.Equal(t, 10*time.Second, Normalise(scrape(func(*novacronv1.MetricSourceSpec) {})).GetScrape().GetTimeout().AsDuration())
	fast := scrape(func(s *novacronv1.MetricSourceSpec) { s.Interval = durationpb.New(5 * time.Second) })
	require.Equal(t, 5*time.Second, Normalise(fast).GetScrape().GetTimeout().AsDuration())
	priced := aws(func(s *novacronv1.MetricSourceSpec) {
		s.Budget = &novacronv1.MetricBudget{UnitsPerDay: 1}
		s.Credential = &novacronv1.MetricCredential{}
	})
	require.Equal(t, "USD", Normalise(priced).GetBudget().GetCurrency())
	require.Nil(t, Normalise(priced).GetCredential())
}

func TestEveryFaultOfASourceIsTold(t *testing.T) {
	type spec = novacronv1.MetricSourceSpec
	file := func(path string) func(*spec) {
		return func(s *spec) {
			s.Credential = &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_File{File: path}}
		}
	}
	url := func(text string) func(*spec) { return func(s *spec) { s.GetScrape().Url = text } }
	every := func(d time.Duration) func(*spec) { return func(s *spec) { s.Interval = durationpb.New(d) } }
	for _, c := range []struct {
		path string
		of   func(func(*spec)) *spec
		with func(*spec)
	}{
		{"name", scrape, func(s *spec) { s.Name = "../x" }},
		{"name", scrape, func(s *spec) { s.Name = strings.Repeat("a", 64) }},
		{"name", scrape, func(s *spec) { s.Name = "-a" }},
		{"kind", scrape, func(s *spec) { s.Kind = nil }},
		{"interval", scrape, every(time.Second)},
		{"interval", aws, every(30 * time.Second)},
		{"interval", aws, every(25 * time.Hour)},
		{"scrape.url", scrape, url("file:///etc/passwd")},
		{"scrape.url", scrape, url("http://me:s3cret@host/")},
		{"scrape.url", scrape, url("http:///nohost")},
		{"scrape.timeout", scrape, func(s *spec) {
			s.Interval, s.GetScrape().Timeout = durationpb.New(5*time.Second), durationpb.New(6*time.Second)
		}},
		{"scrape.caPem", scrape, func(s *spec) { s.GetScrape().Url, s.GetScrape().CaPem = "http://a", "-----BEGIN" }},
		{"scrape.username", scrape, func(s *spec) { s.GetScrape().Username = "me" }},
		{"metricSet", scrape, func(s *spec) { s.MetricSet = "default" }},
		{"metricSet", aws, func(s *spec) { s.MetricSet = "everything" }},
		{"tags", scrape, func(s *spec) { s.Tags = []string{"env"} }},
		{"budget", scrape, func(s *spec) { s.Budget = &novacronv1.MetricBudget{} }},
		{"budget.pricePerUnit", aws, func(s *spec) { s.Budget = &novacronv1.MetricBudget{PricePerUnit: -1} }},
		{"budget.currency", aws, func(s *spec) { s.Budget = &novacronv1.MetricBudget{Currency: "dollars"} }},
		{"labels", aws, func(s *spec) { s.Labels = map[string]string{"a": "b"} }},
		{"labels.__name__", scrape, func(s *spec) { s.Labels = map[string]string{"__name__": "x"} }},
		{"labels.a", scrape, func(s *spec) { s.Labels = map[string]string{"a": strings.Repeat("x", 501)} }},
		{"metrics[1]", scrape, func(s *spec) { s.Metrics = []string{"up", "not a name"} }},
		{"metrics", scrape, func(s *spec) { s.Metrics = strings.Fields(strings.Repeat("up ", 101)) }},
		{"aws.regions", aws, func(s *spec) { s.GetAws().Regions = nil }},
		{"aws.regions[0]", aws, func(s *spec) { s.GetAws().Regions = []string{"eu central"} }},
		{"aws.roleArn", aws, func(s *spec) { s.GetAws().RoleArn = "admin" }},
		{"aws.externalId", aws, func(s *spec) { s.GetAws().ExternalId = "x" }},
		{"azure.subscriptions", aws, func(s *spec) { s.Kind = &novacronv1.MetricSourceSpec_Azure{} }},
		{"gcp.projects", aws, func(s *spec) { s.Kind = &novacronv1.MetricSourceSpec_Gcp{} }},
		{"credential.file", aws, file("relative")},
		{"credential.file", aws, file("/a\x00b")},
		{"credential.environment", aws, func(s *spec) {
			s.Credential = &novacronv1.MetricCredential{Reference: &novacronv1.MetricCredential_Environment{Environment: "A=s3cret"}}
		}},
	} {
		err := Validate(c.of(c.with))
		var faults vm.Faults
		require.ErrorAs(t, err, &faults, c.path)
		require.Len(t, faults, 1, "%s: %v", c.path, err)
		require.Equal(t, c.path, faults[0].Path)
		require.NotContains(t, err.Error(), "s3cret", "what may be a secret is not repeated")
	}
}

func TestDefinitionsOfUsers(t *testing.T) {
	good := Definition{Name: "queue_length", Type: Gauge, Help: "x", Labels: []string{"queue", "tag_*"}}
	require.NoError(t, good.Validate())
	for says, change := range map[string]func(*Definition){
		"use letters":         func(d *Definition) { d.Name = "1x" },
		"take a shorter one":  func(d *Definition) { d.Name = strings.Repeat("x", 201) },
		"kept for":            func(d *Definition) { d.Name = "aws_mine" },
		"use gauge":           func(d *Definition) { d.Type = "sum" },
		"call it x_sum_total": func(d *Definition) { d.Name, d.Type = "x_sum", Counter },
		"say in help":         func(d *Definition) { d.Help = "" },
		"help has 1025":       func(d *Definition) { d.Help = strings.Repeat("x", 1025) },
		"unit has 101":        func(d *Definition) { d.Unit = strings.Repeat("x", 101) },
		"41 labels":           func(d *Definition) { d.Labels = strings.Fields(strings.Repeat("a ", 41)) },
		`label "__x"`:         func(d *Definition) { d.Labels = []string{"__x"} },
	} {
		bad := good
		change(&bad)
		require.ErrorContains(t, bad.Validate(), says)
	}
	for _, word := range []string{Gauge, Counter, Histogram} {
		require.Equal(t, word, TypeFromProto(TypeToProto(word)))
	}
	require.Empty(t, TypeFromProto(TypeToProto("sum")))
}

func TestLeasesHoldForTheirEpochAndTime(t *testing.T) {
	at := time.Unix(1000, 0)
	l := &Leases{}
	l.Renew(at, []Grant{{"a", 7, Lease}, {"b", 8, Lease}})
	until, ok := l.Until("a", 7, at.Add(Lease-1))
	require.True(t, ok)
	require.Equal(t, at.Add(Lease), until)
	for _, no := range []struct {
		source string
		epoch  uint64
		now    time.Time
	}{{"a", 6, at}, {"c", 7, at}, {"a", 7, at.Add(Lease)}} {
		_, ok = l.Until(no.source, no.epoch, no.now)
		require.False(t, ok, "%v", no)
	}
	l.Renew(at.Add(5*time.Second), []Grant{{"a", 7, Lease}})
	_, ok = l.Until("b", 8, at.Add(6*time.Second))
	require.False(t, ok, "a later answer without it takes it")
	l.Renew(at.Add(time.Second), []Grant{{"a", 7, Lease}, {"b", 8, Lease}})
	until, _ = l.Until("a", 7, at.Add(6*time.Second))
	require.Equal(t, at.Add(5*time.Second+Lease), until, "an older answer that comes late shortens nothing")
}
