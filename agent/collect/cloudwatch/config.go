package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// Config says whose metrics are read, which, and how much that may cost.
type Config struct {
	// Regions are read one beside the other; empty means that of the SDK's own configuration.
	Regions     []string
	Credentials Credentials
	// Sets are the metrics; empty means SetDefault.
	Sets []Set
	// Sums keeps the sums over a machine's volumes beside the volumes of SetVolumes.
	Sums bool
	// Namespaces are read as they are, under names that begin with aws_, with Statistic, which is Average when empty.
	// Of a namespace that has canonical names, those metrics are left out.
	Namespaces []string
	Statistic  string
	// Tags are the keys of the tags that become labels of vm_tags.
	Tags []string
	// Filters select machines as those of DescribeInstances do, such as {"tag:env": {"prod"}}; empty means all.
	Filters map[string][]string
	// Interval is how often CollectMetrics will be called: for the forecast, and how long what is gone is still read.
	// 0 means 5 minutes.
	Interval time.Duration
	// Back bounds how far in the past what was missed is read; 0 means a day.
	Back time.Duration
	// Since is when a source without a state begins to count; zero means now.
	Since time.Time
	// DailyBudget bounds the metrics that are asked for in a day of UTC; 0 means no bound.
	DailyBudget int
	// Price of a metric that is asked for, in US dollars; 0 means AWS's list price.
	Price float64
	// Limits of one collection.
	Limits Limits
	// Endpoint replaces the address of all services, for a gateway or an emulator; empty means AWS.
	Endpoint string
	// QueryProtocol speaks to CloudWatch in forms and XML instead of CBOR, for endpoints that know nothing else.
	QueryProtocol bool
	// Dial makes the connections; nil means those of the network. Proxies and certificate authorities are those of the
	// environment.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Stores keep the counters, windows and spendings.
	Stores cloud.Stores
	// Pauses are what the host before was told of the APIs, Spent what it used of the day's budget.
	Pauses []collect.Pause
	Spent  collect.Spending
	// Paces are shared by the collectors of one process; nil means none to share with.
	Paces *cloud.Paces
	Meter *collect.Meter
}

// Credentials say who asks. The zero value is the SDK's default chain: environment, shared files, web identity,
// container, instance.
type Credentials struct {
	// Profile is one of the shared configuration files, which Files replace where given.
	Profile string
	Files   []string
	// AccessKeyID, SecretAccessKey and SessionToken are keys as such.
	AccessKeyID, SecretAccessKey, SessionToken string
	// WebIdentity exchanges a token in a file for a role's credentials.
	WebIdentity WebIdentity
	// Roles are assumed one after the other, each with the credentials of the one before.
	Roles []Role
}

// WebIdentity is a role for who holds a token, as of a service account of Kubernetes.
type WebIdentity struct{ RoleARN, TokenFile string }

// Role is one to assume.
type Role struct {
	ARN string
	// ExternalID is what the role's owner has asked for; empty for none.
	ExternalID string
}

// Limits bound one collection; 0 means the default.
type Limits struct {
	// Metrics are the most that are asked for; 50,000 by default.
	Metrics int
	// Calls are the most at once; 4 by default.
	Calls int
	// CallTime bounds one call; 1 minute by default.
	CallTime time.Duration
	// Response is the most bytes of an answer; 64 MiB by default.
	Response int64
}

// Set is a group of metrics.
type Set string

// The sets. A machine has 8 metrics in the default set, up to 14 more in the extended one; a volume has up to 9.
const (
	SetDefault  Set = "default"
	SetExtended Set = "extended"
	// SetVolumes are those of each volume, instead of their sums.
	SetVolumes Set = "volumes"
	// SetAgent is what CloudWatch's agent in a machine tells.
	SetAgent Set = "agent"
)

var allSets = []Set{SetDefault, SetExtended, SetVolumes, SetAgent}

var (
	regionForm = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-\d+$`)
	roleForm   = regexp.MustCompile(`^arn:[a-z-]+:iam::\d{12}:role/.+$`)
)

// Validate tells what cannot be.
func (c Config) Validate() error {
	for _, region := range c.Regions {
		if !regionForm.MatchString(region) {
			return fmt.Errorf("region %q: use a name such as eu-central-1", region)
		}
	}
	for _, set := range c.Sets {
		if !slices.Contains(allSets, set) {
			return fmt.Errorf("set %q: use %v", set, allSets)
		}
	}
	if c.Interval != 0 && c.Interval < time.Minute {
		return fmt.Errorf("interval %v: CloudWatch has a value a minute at most; at least 1m", c.Interval)
	}
	if c.Back < 0 || c.Back > 15*24*time.Hour {
		return fmt.Errorf("reading back %v: CloudWatch keeps minutes for 15 days; at most 360h", c.Back)
	}
	if c.Stores == nil {
		return errors.New("no place for the state of CloudWatch's counters")
	}
	return c.Credentials.validate()
}

func (c Credentials) validate() error {
	ways := 0
	for _, given := range []bool{c.Profile != "", c.AccessKeyID != "", c.WebIdentity != WebIdentity{}} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return errors.New("credentials: a profile, keys and a web identity exclude each other; name one, and roles to assume with it")
	case (c.AccessKeyID == "") != (c.SecretAccessKey == ""):
		return errors.New("credentials: an access key has an id and a secret; give both")
	case (c.WebIdentity.RoleARN == "") != (c.WebIdentity.TokenFile == ""):
		return errors.New("credentials: a web identity has a role and a file with a token; give both")
	}
	for _, role := range c.Roles {
		if !roleForm.MatchString(role.ARN) {
			return fmt.Errorf("credentials: role %q: use an ARN such as arn:aws:iam::123456789012:role/novacron", role.ARN)
		}
	}
	return nil
}

// String names the credentials without telling them.
func (c Credentials) String() string {
	who := "the default credentials"
	switch {
	case c.Profile != "":
		who = "profile " + c.Profile
	case c.AccessKeyID != "":
		who = "access key " + c.AccessKeyID
	case c.WebIdentity.RoleARN != "":
		who = "the web identity for " + c.WebIdentity.RoleARN
	}
	for _, role := range c.Roles {
		who += " as " + role.ARN[strings.LastIndexByte(role.ARN, ':')+1:]
	}
	return who
}

func (c Config) withDefaults() Config {
	if len(c.Sets) == 0 {
		c.Sets = []Set{SetDefault}
	}
	orDefault(&c.Statistic, "Average")
	orDefault(&c.Interval, 5*time.Minute)
	orDefault(&c.Back, 24*time.Hour)
	if c.Since.IsZero() {
		c.Since = time.Now()
	}
	orDefault(&c.Limits.Metrics, 50_000)
	orDefault(&c.Limits.Calls, 4)
	orDefault(&c.Limits.CallTime, time.Minute)
	orDefault(&c.Limits.Response, 64<<20)
	if c.Paces == nil {
		c.Paces = &cloud.Paces{}
	}
	return c
}

func orDefault[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

func (c Config) has(set Set) bool { return slices.Contains(c.Sets, set) }
