package metric

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

// The kinds of sources, as people write them.
const (
	KindAWS    = "aws"
	KindAzure  = "azure"
	KindGCP    = "gcp"
	KindScrape = "scrape"
)

// The sets of metrics of a cloud.
const (
	SetDefault  = "default"
	SetExtended = "extended"
)

// Limits of a source.
const (
	minInterval     = 5 * time.Second
	minCloud        = time.Minute
	maxInterval     = 24 * time.Hour
	maxSourceName   = 63
	maxItems        = 100
	maxItemBytes    = 500
	maxPEMBytes     = 64 << 10
	MaxSecretBytes  = 64 << 10
	defaultTimeout  = 10 * time.Second
	defaultScrape   = 15 * time.Second
	defaultCloud    = 5 * time.Minute
	defaultCurrency = "USD"
)

// KindOf is where a source is: empty where that is not said.
func KindOf(spec *novacronv1.MetricSourceSpec) string {
	switch spec.GetKind().(type) {
	case *novacronv1.MetricSourceSpec_Aws:
		return KindAWS
	case *novacronv1.MetricSourceSpec_Azure:
		return KindAzure
	case *novacronv1.MetricSourceSpec_Gcp:
		return KindGCP
	case *novacronv1.MetricSourceSpec_Scrape:
		return KindScrape
	}
	return ""
}

// Normalise fills in what was left out, so that the definition that is stored says everything.
func Normalise(given *novacronv1.MetricSourceSpec) *novacronv1.MetricSourceSpec {
	spec := proto.CloneOf(given)
	cloud := KindOf(spec) != KindScrape
	if spec.GetInterval() == nil {
		spec.Interval = durationpb.New(defaultScrape)
		if cloud {
			spec.Interval = durationpb.New(defaultCloud)
		}
	}
	if scrape := spec.GetScrape(); scrape != nil && scrape.GetTimeout() == nil {
		scrape.Timeout = durationpb.New(min(defaultTimeout, spec.GetInterval().AsDuration()))
	}
	if cloud && spec.GetMetricSet() == "" {
		spec.MetricSet = SetDefault
	}
	if budget := spec.GetBudget(); budget != nil && budget.GetCurrency() == "" {
		budget.Currency = defaultCurrency
	}
	if spec.GetCredential().GetReference() == nil {
		spec.Credential = nil
	}
	return spec
}

// Validate tells everything that is wrong with a source; the error is vm.Faults.
func Validate(spec *novacronv1.MetricSourceSpec) error {
	c := &checker{}
	name := spec.GetName()
	c.check(isSourceName(name), "name", quoted(name), fmt.Sprintf("1 to %d lower-case letters, digits and '-', not at the ends", maxSourceName), "choose another name")
	c.check(KindOf(spec) != "", "kind", "missing", "one of aws, azure, gcp and scrape", "say what the source is")
	c.interval(spec)
	c.kind(spec)
	c.common(spec)
	return c.faults.Err()
}

// checker gathers what is wrong.
type checker struct{ faults vm.Faults }

func (c *checker) check(fine bool, path, value, limit, wayOut string) {
	if !fine {
		c.faults = append(c.faults, vm.Fault{Path: path, Value: value, Limit: limit, WayOut: wayOut})
	}
}

func (c *checker) interval(spec *novacronv1.MetricSourceSpec) {
	least := minCloud
	if KindOf(spec) == KindScrape {
		least = minInterval
	}
	if every := spec.GetInterval(); every != nil {
		d := every.AsDuration()
		c.check(every.IsValid() && d >= least && d <= maxInterval, "interval", span(d), span(least)+" to "+span(maxInterval), "choose one of these")
	}
}

func (c *checker) kind(spec *novacronv1.MetricSourceSpec) {
	switch KindOf(spec) {
	case KindAWS:
		aws := spec.GetAws()
		c.words("aws.regions", aws.GetRegions(), true)
		c.words("aws.namespaces", aws.GetNamespaces(), false)
		c.check(aws.GetRoleArn() == "" || strings.HasPrefix(aws.GetRoleArn(), "arn:"), "aws.roleArn", quoted(aws.GetRoleArn()), "an ARN, such as arn:aws:iam::123456789012:role/metrics", "copy it from the role's page")
		c.check(aws.GetExternalId() == "" || aws.GetRoleArn() != "", "aws.externalId", quoted(aws.GetExternalId()), "empty without a role", "give the role to assume, too")
	case KindAzure:
		c.words("azure.subscriptions", spec.GetAzure().GetSubscriptions(), true)
		c.words("azure.resourceGroups", spec.GetAzure().GetResourceGroups(), false)
	case KindGCP:
		c.words("gcp.projects", spec.GetGcp().GetProjects(), true)
	case KindScrape:
		c.scrape(spec)
	}
	if KindOf(spec) != KindScrape {
		c.check(len(spec.GetLabels()) == 0, "labels", fmt.Sprint(len(spec.GetLabels()))+" labels", "none for a cloud, whose metrics have labels of their own", "leave them out")
		c.check(slices.Contains([]string{"", SetDefault, SetExtended}, spec.GetMetricSet()), "metricSet", quoted(spec.GetMetricSet()), "default or extended", "choose one of these")
	} else {
		c.check(spec.GetMetricSet() == "", "metricSet", quoted(spec.GetMetricSet()), "empty for a scrape", "list metrics instead")
		c.check(len(spec.GetTags()) == 0, "tags", strings.Join(spec.GetTags(), ","), "none for a scrape", "leave them out")
		c.check(spec.GetBudget() == nil, "budget", fmt.Sprint(spec.GetBudget().GetUnitsPerDay())+" units a day", "none for a scrape, which costs nothing", "leave it out")
	}
}

func (c *checker) scrape(spec *novacronv1.MetricSourceSpec) {
	s := spec.GetScrape()
	c.check(isTarget(s.GetUrl()), "scrape.url", shownURL(s.GetUrl()), "http:// or https://, a host and no user, password or fragment", "give the address that the metrics are at")
	if timeout := s.GetTimeout(); timeout != nil {
		d, most := timeout.AsDuration(), maxInterval
		if every := spec.GetInterval(); every != nil {
			most = every.AsDuration()
		}
		c.check(timeout.IsValid() && d >= time.Second && d <= most, "scrape.timeout", span(d), "1s to the interval, "+span(most), "choose one of these")
	}
	c.check(len(s.GetCaPem()) <= maxPEMBytes, "scrape.caPem", fmt.Sprint(len(s.GetCaPem()))+" bytes", fmt.Sprintf("at most %d bytes", maxPEMBytes), "give the certificates of the target's authority alone")
	c.check(s.GetCaPem() == "" || strings.HasPrefix(s.GetUrl(), "https://"), "scrape.caPem", "given", "empty without https", "leave it out, or use https")
	c.check(s.GetUsername() == "" || spec.GetCredential().GetReference() != nil, "scrape.username", quoted(s.GetUsername()), "empty without a credential, the password", "give a secret or a reference to one")
}

func isTarget(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.Fragment == "" && len(text) <= maxItemBytes
}

// shownURL is an address without what may be a secret in it.
func shownURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "no address"
	}
	return quoted(u.Redacted())
}

func (c *checker) common(spec *novacronv1.MetricSourceSpec) {
	c.words("tags", spec.GetTags(), false)
	c.check(len(spec.GetMetrics()) <= maxItems, "metrics", fmt.Sprint(len(spec.GetMetrics()))+" names", fmt.Sprintf("at most %d", maxItems), "list fewer, or make another source")
	for i, name := range spec.GetMetrics() {
		c.check(IsName(name) && len(name) <= maxNameBytes, fmt.Sprintf("metrics[%d]", i), quoted(name), "letters, digits, _ and :, with no digit in front", "see `novacron metric definition list` and the documentation")
	}
	c.labels(spec.GetLabels())
	budget := spec.GetBudget()
	c.check(budget.GetPricePerUnit() >= 0 && budget.GetPricePerUnit() < 1e6, "budget.pricePerUnit", fmt.Sprint(budget.GetPricePerUnit()), "0 or more", "give what one unit costs")
	c.check(len(budget.GetCurrency()) <= 3, "budget.currency", quoted(budget.GetCurrency()), "three letters, such as USD", "give the code of the currency")
	c.credential(spec.GetCredential())
}

func (c *checker) labels(labels map[string]string) {
	c.check(len(labels) <= MaxLabels, "labels", fmt.Sprint(len(labels)), fmt.Sprintf("at most %d", MaxLabels), "leave some out")
	for name, value := range labels {
		c.check(IsLabel(name) && len(name) <= maxShortBytes, "labels."+clip(name), quoted(name), "letters, digits and _, with no digit and no __ in front", "choose another name")
		c.check(len(value) <= maxItemBytes, "labels."+clip(name), fmt.Sprint(len(value))+" bytes", fmt.Sprintf("at most %d bytes", maxItemBytes), "shorten it")
	}
}

func (c *checker) credential(credential *novacronv1.MetricCredential) {
	switch ref := credential.GetReference().(type) {
	case *novacronv1.MetricCredential_File:
		c.check(strings.HasPrefix(ref.File, "/") && !strings.ContainsRune(ref.File, 0) && len(ref.File) <= maxItemBytes, "credential.file", quoted(ref.File), "an absolute path on the hosts", "say where the file lies there")
	case *novacronv1.MetricCredential_Environment:
		c.check(isName(ref.Environment, '_') && len(ref.Environment) <= maxShortBytes, "credential.environment", "something else", "the name of a variable of the agent", "give the name, not the value")
	}
}

// words checks a list of ids.
func (c *checker) words(path string, items []string, needed bool) {
	c.check(!needed || len(items) > 0, path, "empty", "at least one", "say which")
	c.check(len(items) <= maxItems, path, fmt.Sprint(len(items))+" items", fmt.Sprintf("at most %d", maxItems), "make another source for the rest")
	for i, item := range items {
		c.check(isWord(item), fmt.Sprintf("%s[%d]", path, i), quoted(item), fmt.Sprintf("1 to %d bytes without blanks", maxItemBytes), "give one id")
	}
}

func isWord(text string) bool {
	return text != "" && len(text) <= maxItemBytes && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// isSourceName accepts what is safe as the name of a folder and as the value of a label.
func isSourceName(name string) bool {
	odd := func(r rune) bool { return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') }
	return name != "" && len(name) <= maxSourceName && strings.Trim(name, "-") == name && !strings.ContainsFunc(name, odd)
}

func quoted(text string) string { return fmt.Sprintf("%q", clip(text)) }

// clip keeps hostile input short in errors.
func clip(text string) string {
	const most = 80
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// Wants tells whether a host with these labels may collect from a source.
func Wants(spec *novacronv1.MetricSourceSpec, labels map[string]string) bool {
	for key, value := range spec.GetHostLabels() {
		if have, ok := labels[key]; !ok || have != value {
			return false
		}
	}
	return true
}

// span writes a length of time as flags take it: 24h and not 24h0m0s.
func span(d time.Duration) string {
	text := d.String()
	for _, empty := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, empty) {
			text = text[:len(text)-2]
		}
	}
	return text
}
