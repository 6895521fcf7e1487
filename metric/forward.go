package metric

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// Limits of a forward.
const (
	minQueueBytes   = 1 << 20
	maxQueueBytes   = 1 << 40
	minQueueAge     = time.Minute
	maxQueueAge     = 365 * 24 * time.Hour
	maxSelectors    = 20
	maxHeaders      = 20
	DefaultQueue    = 1 << 30
	DefaultProtocol = 2
	// ClusterLabel says at a remote which cluster a series is of.
	ClusterLabel = "cluster"
)

// ownHeaders are those that remote write sets by itself.
var ownHeaders = []string{
	"Authorization", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Host", "Transfer-Encoding", "User-Agent",
	"X-Prometheus-Remote-Write-Version",
}

// NormaliseForward fills in what was left out of a forward, so that the definition that is stored says everything.
func NormaliseForward(given *novacronv1.MetricForwardSpec, clusterID string) *novacronv1.MetricForwardSpec {
	spec := proto.CloneOf(given)
	if spec.GetProtocol() == 0 {
		spec.Protocol = DefaultProtocol
	}
	if spec.GetQueueBytes() == 0 {
		spec.QueueBytes = DefaultQueue
	}
	if _, given := spec.GetLabels()[ClusterLabel]; !given {
		if spec.Labels == nil {
			spec.Labels = map[string]string{}
		}
		spec.Labels[ClusterLabel] = clusterID
	}
	if spec.GetCredential().GetReference() == nil {
		spec.Credential = nil
	}
	return spec
}

// ValidateForward tells everything that is wrong with a forward but for its selectors; the error is vm.Faults.
func ValidateForward(spec *novacronv1.MetricForwardSpec) error {
	c := &checker{}
	name := spec.GetName()
	c.check(isSourceName(name), "name", quoted(name), fmt.Sprintf("1 to %d lower-case letters, digits and '-', not at the ends", maxSourceName), "choose another name")
	c.check(isTarget(spec.GetUrl()), "url", shownURL(spec.GetUrl()), "http:// or https://, a host and no user, password or fragment", "give the address that takes remote write")
	c.check(spec.GetProtocol() <= 2, "protocol", fmt.Sprint(spec.GetProtocol()), "1 or 2", "choose one of these")
	c.check(spec.GetQueueBytes() == 0 || spec.GetQueueBytes() >= minQueueBytes && spec.GetQueueBytes() <= maxQueueBytes, "queueBytes", fmt.Sprint(spec.GetQueueBytes()), "1 MiB to 1 TiB", "choose one of these")
	if age := spec.GetQueueAge(); age != nil {
		d := age.AsDuration()
		c.check(age.IsValid() && d >= minQueueAge && d <= maxQueueAge, "queueAge", span(d), span(minQueueAge)+" to "+span(maxQueueAge), "choose one of these, or leave it out")
	}
	c.check(len(spec.GetMatch()) <= maxSelectors, "match", fmt.Sprint(len(spec.GetMatch()))+" selectors", fmt.Sprintf("at most %d", maxSelectors), "put names together, as in {__name__=~\"a|b\"}")
	c.labels(spec.GetLabels())
	c.headers(spec.GetHeaders())
	c.forwardLogin(spec)
	return c.faults.Err()
}

func (c *checker) headers(headers map[string]string) {
	c.check(len(headers) <= maxHeaders, "headers", fmt.Sprint(len(headers)), fmt.Sprintf("at most %d", maxHeaders), "leave some out")
	for name, value := range headers {
		path := "headers." + clip(name)
		c.check(isHeader(name) && len(name) <= maxShortBytes, path, quoted(name), "the name of a header", "write it such as X-Scope-OrgID")
		c.check(!slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)), path, quoted(name), "none that remote write or the credential sets", "leave it out")
		c.check(isHeaderValue(value) && len(value) <= maxItemBytes, path, fmt.Sprint(len(value))+" bytes", fmt.Sprintf("at most %d bytes of printable text", maxItemBytes), "write another value")
	}
}

func (c *checker) forwardLogin(spec *novacronv1.MetricForwardSpec) {
	secure, credential := strings.HasPrefix(spec.GetUrl(), "https://"), spec.GetCredential().GetReference() != nil
	c.check(len(spec.GetCaPem()) <= maxPEMBytes, "caPem", fmt.Sprint(len(spec.GetCaPem()))+" bytes", fmt.Sprintf("at most %d bytes", maxPEMBytes), "give the certificates of the remote's authority alone")
	c.check(spec.GetCaPem() == "" || secure, "caPem", "given", "empty without https", "leave it out, or use https")
	c.check(spec.GetUsername() == "" || credential, "username", quoted(spec.GetUsername()), "empty without a credential, the password", "give a secret or a reference to one")
	c.check(!spec.GetClientCertificate() || credential && secure, "clientCertificate", "true", "false without https and a credential, the certificate and its key", "give both")
	c.check(!spec.GetClientCertificate() || spec.GetUsername() == "", "username", quoted(spec.GetUsername()), "empty beside a certificate", "choose one of them")
	c.check(!strings.ContainsFunc(spec.GetUsername(), func(r rune) bool { return r < ' ' || r == ':' || r == 0x7f }) && len(spec.GetUsername()) <= maxItemBytes, "username", quoted(spec.GetUsername()), "printable, without ':'", "write it so")
	c.credential(spec.GetCredential())
}

// isHeader accepts the names of headers that are in use: letters, digits and '-' and '_'.
func isHeader(name string) bool {
	odd := func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	return name != "" && !strings.ContainsFunc(name, odd)
}

func isHeaderValue(value string) bool {
	return strings.TrimSpace(value) == value && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
}
