// Package httpapi is the Prometheus HTTP API over any store that PromQL can read: one shard, or the whole cluster.
package httpapi

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/novacron/novacron/tsdb/federate/explore"
	"github.com/novacron/novacron/tsdb/query"
)

// Source is what queries read.
type Source interface {
	storage.Queryable
	storage.ExemplarQueryable
}

// Options are what the API answers from. Engine and Source are needed. Where a function is nil, its answer is an empty
// list, as that of a Prometheus without targets.
type Options struct {
	// Engine evaluates PromQL over Source.
	Engine promql.QueryEngine
	// Source is read. Its partial answers carry warnings.
	Source Source
	// Complete is the same source, refusing partial answers; nil where there are none, as on a single shard.
	Complete Source

	// Functions that cannot tell all call Warn with their context.

	// Metadata tells type, unit and help by metric: of all, or of one where a name is given.
	Metadata func(ctx context.Context, metric string) (map[string][]Metadata, error)
	// Stats tell what the series are made of, with at most so many entries in each list.
	Stats func(ctx context.Context, top int) (Stats, error)
	// Targets are where samples come from.
	Targets func(ctx context.Context) ([]Target, error)

	// Explore tells where series come from; nil where that is not told.
	Explore func(ctx context.Context, ask explore.Ask) (explore.Answer, error)

	// Write takes remote write; nil says that there is none here.
	Write http.Handler
	// Metrics writes the metrics of this process in Prometheus's text format.
	Metrics func(io.Writer) error
	// Ready says why requests cannot be answered yet; nil is always ready.
	Ready func() error

	Build Build
	// Config is the configuration that /status/config shows, as YAML without secrets, and Flags are those of the command.
	Config func() string
	Flags  map[string]string
	// Retention is how long samples are kept, for people.
	Retention string

	Limits Limits
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Limits bound one request. A zero bound is the default.
type Limits struct {
	// Timeout is how long a request may take until its answer begins, and as long again to be sent (2 min).
	Timeout time.Duration
	// Concurrent is how many requests for data are answered at one time (40); others wait.
	Concurrent int
	// URL is the most bytes of a request's path and parameters (64 KiB), Body of its form or remote read (1 MiB).
	URL  int
	Body int64
	// ReadSamples and ReadBytes bound the answer to a remote read, which is held in memory: 5 million samples, 64 MiB.
	ReadSamples int
	ReadBytes   int
	// Compressing is how many answers are compressed at one time (8), at about 1 MiB each; others are sent plain.
	Compressing int
}

func (l Limits) withDefaults() Limits {
	fill := func(n *int, by int) {
		if *n <= 0 {
			*n = by
		}
	}
	fill(&l.Concurrent, 40)
	fill(&l.URL, 64<<10)
	fill(&l.ReadSamples, 5_000_000)
	fill(&l.ReadBytes, 64<<20)
	fill(&l.Compressing, 8)
	if l.Body <= 0 {
		l.Body = 1 << 20
	}
	if l.Timeout <= 0 {
		l.Timeout = 2 * time.Minute
	}
	return l
}

// api answers. It is made by New.
type api struct {
	Options
	started time.Time
	parser  parser.Parser
	slots   chan struct{} // one is held by each request for data
	zips    chan struct{} // one is held by each answer that is compressed
}

// New makes the API. It serves the paths /api/v1/…, /metrics, /-/healthy and /-/ready, and needs no other state.
// It sends no CORS headers: web pages of other origins cannot read it.
func New(o Options) http.Handler {
	o.Limits = o.Limits.withDefaults()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Complete == nil {
		o.Complete = o.Source
	}
	a := &api{
		Options: o, started: o.Now(), parser: parser.NewParser(query.ParserOptions()),
		slots: make(chan struct{}, o.Limits.Concurrent), zips: make(chan struct{}, o.Limits.Compressing),
	}
	return a.routes()
}

// routes are the paths. Those of both have their parameters in the URL or in a form.
func (a *api) routes() http.Handler {
	mux := http.NewServeMux()
	both := func(path string, h handler) {
		mux.Handle("GET /api/v1/"+path, a.wrap(h))
		mux.Handle("POST /api/v1/"+path, a.wrap(h))
	}
	both("query", a.limited(a.query))
	both("query_range", a.limited(a.queryRange))
	both("query_exemplars", a.limited(a.queryExemplars))
	both("format_query", a.formatQuery)
	both("parse_query", a.parseQuery)
	both("labels", a.limited(a.labelNames))
	both("label/{name}/values", a.limited(a.labelValues))
	both("series", a.limited(a.series))
	both("metadata", a.limited(a.metadata))
	both("cardinality", a.limited(a.cardinality))
	both("targets", a.limited(a.targets))
	both("targets/metadata", a.limited(a.targetMetadata))
	both("rules", a.rules)
	both("alerts", a.alerts)
	both("alertmanagers", a.alertmanagers)
	both("status/tsdb", a.limited(a.statusTSDB))
	both("status/buildinfo", a.statusBuild)
	both("status/runtimeinfo", a.statusRuntime)
	both("status/config", a.statusConfig)
	both("status/flags", a.statusFlags)
	mux.Handle("POST /api/v1/read", a.wrap(a.limited(a.read)))
	mux.HandleFunc("POST /api/v1/write", a.write)
	mux.Handle("/api/v1/", a.wrap(a.unknown))
	mux.HandleFunc("GET /metrics", a.metrics)
	mux.HandleFunc("GET /-/healthy", a.healthy)
	mux.HandleFunc("GET /-/ready", a.ready)
	return mux
}

func (a *api) write(w http.ResponseWriter, r *http.Request) {
	if a.Write == nil {
		http.Error(w, "remote write is not taken here: send it to an agent", http.StatusNotFound)
		return
	}
	a.Write.ServeHTTP(w, r)
}

func (*api) unknown(_ *answer, r *http.Request) error {
	return &failure{notFound, fmt.Errorf("there is no %s %.200q", r.Method, r.URL.Path)}
}

func (a *api) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if a.Metrics == nil {
		return
	}
	if err := a.Metrics(w); err != nil {
		panic(http.ErrAbortHandler) // the client is gone, or must not take what it has for the whole
	}
}

func (*api) healthy(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "NovaCron is healthy.\n") // to a client that may be gone
}

func (a *api) ready(w http.ResponseWriter, _ *http.Request) {
	if a.Ready != nil {
		if err := a.Ready(); err != nil {
			http.Error(w, "NovaCron is not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	_, _ = io.WriteString(w, "NovaCron is ready.\n") // as above
}
