// Package fakecloud is AWS for tests: CloudWatch, EC2 and STS over their own wire protocols, with a world whose truth is
// known and with faults.
package fakecloud

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Cloud answers requests. It is safe for concurrent use; its exported fields are set before the first request.
type Cloud struct {
	// Account is whose everything is.
	Account string
	// Latency is how long an answer takes. Over a pipe without buffers it has to be more than nothing: an answer that
	// comes before the client has put its request away takes the connection with it.
	Latency time.Duration
	// ListLag is how long after its first value a metric is listed.
	ListLag time.Duration
	// Skew is how far AWS's clock is ahead of this host's.
	Skew time.Duration
	// Fault decides of each call whether something goes wrong; nil means never.
	Fault func(Call) Fault
	// Sizes of pages; 0 means AWS's own.
	PageMachines, PageVolumes, PageMetrics, PageDatapoints int

	mu       sync.Mutex
	keys     map[string]*key
	roles    map[string]Role
	machines map[string]Machine
	volumes  map[string]Volume
	series   map[string]Series
	calls    map[string]int
	asked    int
	log      []Call
}

// Call is what was asked.
type Call struct {
	// Operation such as GetMetricData, Region from the signature, Protocol «rpc-v2-cbor», «query» or «ec2».
	Operation, Region, Protocol string
	// AccessKey is whose signature it is.
	AccessKey string
	At        time.Time
	// N counts the calls of the operation, from 1.
	N int
	// Queries is how many metrics were asked for, Start and End their window.
	Queries    int
	Start, End time.Time
}

// Fault is what goes wrong; the zero value is nothing.
type Fault struct {
	// Status and Code replace the answer by an error.
	Status        int
	Code, Message string
	// RetryAfter is that header of the error, as it is.
	RetryAfter string
	// Result is a status instead of Complete for each metric data result with an index below Results, whose points are
	// left out where Empty says so.
	Result  string
	Results int
	Empty   bool
	// Twice repeats all results in one answer, Ragged cuts a value off each.
	Twice, Ragged bool
	// Large makes an answer of that many bytes.
	Large int
}

// Role is one that can be assumed.
type Role struct {
	ExternalID string
	// Account is that of who assumes it; empty for the cloud's own.
	Account string
}

type key struct {
	account string
	role    string
	token   string
	expires time.Time
}

// New has a key «AKIATEST» with any secret.
func New(account string) *Cloud {
	c := &Cloud{
		Account: account, keys: map[string]*key{}, roles: map[string]Role{}, machines: map[string]Machine{}, volumes: map[string]Volume{},
		series: map[string]Series{}, calls: map[string]int{},
	}
	c.AddKey("AKIATEST", time.Time{})
	return c
}

// AddKey lets an access key in until it expires; never where that is zero.
func (c *Cloud) AddKey(id string, expires time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys[id] = &key{account: c.Account, expires: expires}
}

// AddRole lets a role be assumed.
func (c *Cloud) AddRole(arn string, role Role) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.roles[arn] = role
}

// Calls counts the requests by operation.
func (c *Cloud) Calls() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

// Log lists the requests.
func (c *Cloud) Log() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.log)
}

// Asked counts the metrics that were asked for: what AWS charges for.
func (c *Cloud) Asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func (c *Cloud) now() time.Time { return time.Now().Add(c.Skew).UTC() }

// ServeHTTP answers one request.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", c.now().Format(http.TimeFormat))
	req, err := parse(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	latency := time.NewTimer(c.Latency)
	<-latency.C
	out, failure := c.answer(req)
	if failure != nil {
		failure.write(w, req)
		return
	}
	req.write(w, out)
}

// answer does what was asked.
func (c *Cloud) answer(req *request) (any, *failure) {
	fault := c.note(req)
	if failure := c.authorise(req); failure != nil {
		return nil, failure
	}
	if fault.Status != 0 {
		return nil, &failure{fault.Status, fault.Code, fault.Message, fault.RetryAfter}
	}
	if fault.Large > 0 {
		return tree{"NextToken": strings.Repeat("x", fault.Large)}, nil
	}
	operations := map[string]func(*request, Fault) (any, *failure){
		"GetMetricData": c.getMetricData, "ListMetrics": c.listMetrics, "GetMetricStatistics": c.getMetricStatistics,
		"DescribeInstances": c.describeInstances, "DescribeVolumes": c.describeVolumes, "DescribeInstanceTypes": c.describeInstanceTypes,
		"GetCallerIdentity": c.getCallerIdentity, "AssumeRole": c.assumeRole, "AssumeRoleWithWebIdentity": c.assumeRoleWithWebIdentity,
	}
	do, known := operations[req.operation]
	if !known {
		return nil, &failure{http.StatusBadRequest, "InvalidAction", req.operation + " is not simulated", ""}
	}
	return do(req, fault)
}

// note counts a call and decides its fault.
func (c *Cloud) note(req *request) Fault {
	c.mu.Lock()
	c.calls[req.operation]++
	queries := req.in.list("MetricDataQueries")
	call := Call{
		Operation: req.operation, Region: req.region, Protocol: req.protocol, AccessKey: req.accessKey, At: time.Now(), N: c.calls[req.operation],
		Queries: len(queries), Start: req.in.time("StartTime"), End: req.in.time("EndTime"),
	}
	c.asked += len(queries)
	c.log = append(c.log, call)
	c.mu.Unlock()
	if c.Fault == nil {
		return Fault{}
	}
	return c.Fault(call)
}

// maxSkew is how far a signature's time may be off.
const maxSkew = 5 * time.Minute

// authorise checks who signed, and when.
func (c *Cloud) authorise(req *request) *failure {
	if req.operation == "AssumeRoleWithWebIdentity" {
		return nil // the token is the proof
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k, known := c.keys[req.accessKey]
	expired := known && !k.expires.IsZero() && !c.now().Before(k.expires)
	switch off := c.now().Sub(req.signed); {
	case !known || k.token != req.token:
		return &failure{http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.", ""}
	case expired && req.protocol == protocolEC2:
		return &failure{http.StatusBadRequest, "RequestExpired", "Request has expired.", ""}
	case expired:
		return &failure{http.StatusForbidden, "ExpiredToken", "The security token included in the request is expired", ""}
	case off.Abs() > maxSkew:
		return &failure{http.StatusForbidden, "SignatureDoesNotMatch", "Signature not yet current or expired: the time differs by " + off.String(), ""}
	}
	return nil
}
