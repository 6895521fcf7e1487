// Package gcpmonitoring collects the metrics of Google Cloud's machines from Cloud Monitoring and the Compute API.
package gcpmonitoring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// Config says what to collect and by whose leave.
type Config struct {
	// Projects are the ids of the projects whose machines are measured, not their numbers.
	Projects []string
	// Regions bound what is collected; empty means all.
	Regions []string
	// Credentials say who asks; the zero value is the application default.
	Credentials Credentials

	// Extended collects, besides the default set, what Google measures of every machine, disk and balloon.
	Extended bool
	// Agent collects what the Ops Agent in the machines tells.
	Agent bool
	// Unmapped are the beginnings of metric types that pass through under gcp_…; those that have a canonical name are
	// left out. Each type is a call a collection, and each of its series is paid for.
	Unmapped []string
	// Tags are the keys of instance labels that vm_tags carries.
	Tags []string

	// Interval is how often CollectMetrics is called, for the forecast; 0 means 5 min.
	Interval time.Duration
	// Since is when a source without a state begins to count; zero means now.
	Since time.Time
	// Back is how far back what was missed is read; 0 means 24 h.
	Back time.Duration
	// PagePoints is how many points an answer holds at most, up to 100,000, which take about 30 MB for a moment; 0 means
	// 20,000.
	PagePoints int
	// MaxPages bounds the pages of one metric type in a collection; 0 means 100.
	MaxPages int
	// MaxSamples is about how many samples a collection yields when it catches up; 0 means 50,000.
	MaxSamples int
	// CallTimeout bounds a call; 0 means 30 s.
	CallTimeout time.Duration

	// DailySeries is the most time series that may be asked for on a day in UTC; 0 means no bound.
	DailySeries int
	// SeriesPrice is the price of a time series in US dollars; 0 means Google's list price.
	SeriesPrice float64

	// Stores keep the counters, the windows and the budget.
	Stores cloud.Stores
	// Pauses are what the host before was told of the APIs, Spent what it used of the day's budget.
	Pauses []collect.Pause
	Spent  collect.Spending
	// Paces are shared by the collectors of a process; nil for its own.
	Paces *cloud.Paces
	// Meter counts requests, nil for none; Logger gets what is told once, nil for none.
	Meter  *collect.Meter
	Logger *slog.Logger

	// MonitoringEndpoint and ComputeEndpoint replace Google's. One that begins with http:// is called in plain text and
	// without credentials: it is for tests and proxies.
	MonitoringEndpoint, ComputeEndpoint string
	// Dial replaces the network.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// listPrice is Google's price of a time series that is read, in US dollars.
const listPrice = 0.5e-6

// isProject holds for ids of projects, also of those that belong to a domain.
var isProject = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$`)

// isRegion holds for names such as europe-west4.
var isRegion = regexp.MustCompile(`^[a-z]+(-[a-z]+)+[0-9]+$`)

// isType holds for metric types and their beginnings.
var isType = regexp.MustCompile(`^[a-z0-9.-]+\.[a-z]+/[A-Za-z0-9_/.-]*$`)

const (
	defaultInterval   = 5 * time.Minute
	defaultBack       = 24 * time.Hour
	defaultPagePoints = 20_000
	maxPagePoints     = 100_000
	defaultMaxPages   = 100
	defaultMaxSamples = 50_000
	defaultTimeout    = 30 * time.Second
)

// withDefaults fills what was left out, or tells what cannot be.
func (c Config) withDefaults() (Config, error) {
	if err := c.validate(); err != nil {
		return c, err
	}
	fill(&c.Interval, defaultInterval)
	fill(&c.Back, defaultBack)
	fill(&c.PagePoints, defaultPagePoints)
	fill(&c.MaxPages, defaultMaxPages)
	fill(&c.MaxSamples, defaultMaxSamples)
	fill(&c.CallTimeout, defaultTimeout)
	fill(&c.SeriesPrice, listPrice)
	if c.Paces == nil {
		c.Paces = &cloud.Paces{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func fill[T comparable](field *T, fallback T) {
	var zero T
	if *field == zero {
		*field = fallback
	}
}

func (c Config) validate() error {
	if len(c.Projects) == 0 {
		return errors.New("google cloud: no project; name at least one project id")
	}
	if c.Stores == nil {
		return errors.New("google cloud: no place for the state of counters")
	}
	if c.PagePoints < 0 || c.PagePoints > maxPagePoints {
		return fmt.Errorf("google cloud: %d points a page; from 1 to %d", c.PagePoints, maxPagePoints)
	}
	seen := map[string]bool{}
	for _, p := range c.Projects {
		if !isProject.MatchString(p) {
			return fmt.Errorf("google cloud: project %.80q is no project id; give the id, as in my-project-1, not the number or the name", p)
		}
		if seen[p] {
			return fmt.Errorf("google cloud: project %s is named twice; remove one", p)
		}
		seen[p] = true
	}
	for _, r := range c.Regions {
		if !isRegion.MatchString(r) {
			return fmt.Errorf("google cloud: region %.80q; give names as in europe-west4", r)
		}
	}
	for _, u := range c.Unmapped {
		if !isType.MatchString(u) {
			return fmt.Errorf("google cloud: metric types %.80q; give their beginning, as in compute.googleapis.com/instance/gpu/", u)
		}
	}
	return c.Credentials.validate()
}
