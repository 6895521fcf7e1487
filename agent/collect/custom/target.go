package custom

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/novacron/novacron/agent/collect"
)

// Config says what to scrape and how.
type Config struct {
	// Job names the source: the label job of its series.
	Job string
	// URL is of http or https, without a user.
	URL string
	// Instance is the label instance; empty means the host and port of URL.
	Instance string
	// Labels are put on every series besides job and instance.
	Labels map[string]string
	// HonorLabels keeps the target's own labels where they have the same names; otherwise those get exported_ in front.
	HonorLabels bool
	// IgnoreTimestamps gives all samples the time of the scrape, also those that come with a time.
	IgnoreTimestamps bool
	// NativeHistograms asks for them, which takes protobuf. ClassicHistograms keeps the classic form beside it.
	NativeHistograms, ClassicHistograms bool
	// Metrics are the names of families to take; none means all.
	Metrics []string
	// Undeclared takes metrics that are not in the registry.
	Undeclared bool
	// FallbackType is the content type of a target that tells none, or one that is not known; empty fails then.
	FallbackType string
	// RefuseRedirects fails where the target redirects.
	RefuseRedirects bool
	// Timeout bounds a scrape; 0 means 10 s. The deadline of the collection bounds it, too.
	Timeout time.Duration
	Limits  ScrapeLimits
	Login   Login
	TLS     TLS
	// State is where the series of the last scrape are kept, so that those that have gone while the agent was down end;
	// nil keeps none.
	State collect.StateStore
	// Meter counts requests; nil counts none.
	Meter *collect.Meter
}

// ScrapeLimits fail a whole scrape that exceeds one of them: nothing of it is stored.
type ScrapeLimits struct {
	// Samples is the most of one scrape; 0 means DefaultMaxSamples.
	Samples int
	// Bytes is the most of a body when it is unpacked; 0 means DefaultMaxBytes.
	Bytes int64
	// Labels, LabelNameBytes and LabelValueBytes are the most of one series with its target's labels; 0 means what
	// the shard takes.
	Labels, LabelNameBytes, LabelValueBytes int
}

// The shard's limits, in its order.
const (
	shardLabels     = 40
	shardLabelName  = 1024
	shardLabelValue = 4096
)

// Login is how we prove who we are, besides by a certificate: with a user, Secret is the password, without one a bearer
// token.
type Login struct {
	User   string
	Secret Secret
}

// TLS is how the target proves who it is, and we to it.
type TLS struct {
	// CA are the certificates in PEM that vouch for the target; none means those of the host.
	CA Secret
	// Certificate and Key are ours, in PEM.
	Certificate, Key Secret
	// ServerName is the name in the target's certificate; empty means the host of the URL.
	ServerName string
	// Insecure takes any certificate.
	Insecure bool
}

// defaultTimeout bounds a scrape.
const defaultTimeout = 10 * time.Second

// withDefaults fills in what is left open.
func (c Config) withDefaults(address *url.URL) Config {
	if c.Instance == "" {
		c.Instance = instanceOf(address)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	orInt := func(v *int, most int) {
		if *v == 0 {
			*v = most
		}
	}
	orInt(&c.Limits.Samples, DefaultMaxSamples)
	orInt(&c.Limits.Labels, shardLabels)
	orInt(&c.Limits.LabelNameBytes, shardLabelName)
	orInt(&c.Limits.LabelValueBytes, shardLabelValue)
	if c.Limits.Bytes == 0 {
		c.Limits.Bytes = DefaultMaxBytes
	}
	return c
}

func instanceOf(address *url.URL) string {
	if address.Port() != "" {
		return address.Host
	}
	return address.Host + map[string]string{"http": ":80", "https": ":443"}[address.Scheme]
}

// parse checks a configuration, all of it at once.
func (c Config) parse() (*url.URL, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	address, err := url.Parse(c.URL)
	switch {
	case err != nil:
		fault("url: it cannot be read") // the error would show it, and what it has of secrets
	case address.Scheme != "http" && address.Scheme != "https" || address.Host == "":
		fault("url: %.200q is no address of a target: write one such as http://host:9100/metrics", address.Redacted())
	case address.User != nil:
		fault("url: it has a user: give user and password as references, so that they are not shown")
	}
	if c.Job == "" {
		fault("job: it is empty: name the source")
	}
	if c.Timeout < 0 || c.Limits.Samples < 0 || c.Limits.Bytes < 0 || c.Limits.Labels < 0 || c.Limits.LabelNameBytes < 0 || c.Limits.LabelValueBytes < 0 {
		fault("timeout and limits: one is negative: write 0 for what is usual")
	}
	for name := range c.Labels {
		if !isLabel(name) || name == "job" || name == "instance" {
			fault("labels: %.80q: use letters, digits and _, with no digit and no __ in front; job and instance have fields of their own", name)
		}
	}
	if c.TLS.Certificate.isZero() != c.TLS.Key.isZero() {
		fault("tls: a certificate and its key belong together: give both or none")
	}
	if c.Login.User != "" && c.Login.Secret.isZero() {
		fault("login: the user %.80q has no password: give a reference to one", c.Login.User)
	}
	if c.FallbackType != "" && !knownType(c.FallbackType) {
		fault("fallback type %.80q: use text/plain, application/openmetrics-text or application/vnd.google.protobuf", c.FallbackType)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("scrape source %.80q: %w", c.Job, err)
	}
	return address, nil
}

func isLabel(name string) bool {
	for i := range len(name) {
		letter := 'a' <= name[i]|0x20 && name[i]|0x20 <= 'z' || name[i] == '_'
		if !letter && (i == 0 || name[i] < '0' || name[i] > '9') {
			return false
		}
	}
	return name != "" && !strings.HasPrefix(name, "__")
}

// target are the labels that every series of a target gets.
func (c Config) target() map[string]string {
	labels := maps.Clone(c.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels["job"], labels["instance"] = c.Job, c.Instance
	return labels
}

// CollectLimits are those of the runner's job.
func (c Config) CollectLimits() collect.Limits {
	// A marker for every series that was there before may come beside those that are.
	limits := collect.Limits{Undeclared: c.Undeclared, MaxSamples: 2 * c.Limits.Samples}
	if c.Limits.Samples == 0 {
		limits.MaxSamples = 2 * DefaultMaxSamples
	}
	return limits
}

// join puts the target's labels on those of a series. Where both have one, the target's counts and the series's own is
// kept with exported_ in front, or the other way round with honor.
func join(own, target map[string]string, honor bool) map[string]string {
	all := make(map[string]string, len(own)+len(target))
	for name, value := range own {
		if value != "" {
			all[name] = value
		}
	}
	for name, value := range target {
		kept, clash := own[name]
		switch {
		case clash && honor:
			continue
		case clash && kept != "":
			free := "exported_" + name
			for all[free] != "" {
				free = "exported_" + free
			}
			all[free] = kept
		}
		if value != "" {
			all[name] = value
		}
	}
	return all
}
