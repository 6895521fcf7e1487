package httpapi

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/novacron/novacron/tsdb/engine"
)

// Version is that of the Prometheus whose API this is: clients go by it.
const Version = "3.5.0"

// Build says what runs. Clients choose what they ask by the version.
type Build struct {
	// Version is that of the Prometheus whose API this is, such as 3.5.0, where clients are to take it for one.
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildUser string `json:"buildUser"`
	BuildDate string `json:"buildDate"`
	GoVersion string `json:"goVersion"`
}

// Stats say what the series are made of, and of which time the samples are.
type Stats struct {
	engine.Cardinality
	Chunks int64
	// MinTime and MaxTime are of the oldest and newest sample, in milliseconds.
	MinTime, MaxTime int64
}

// count is an entry of a list of status/tsdb.
type count struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

func counts(all []engine.Count) []count {
	list := make([]count, 0, len(all))
	for _, c := range all {
		list = append(list, count{c.Name, c.Count})
	}
	return list
}

// maxTop bounds the lists of status/tsdb.
const maxTop = 10_000

func (a *api) statusTSDB(out *answer, r *http.Request) error {
	top, err := limitParam(r, "limit", 1, 10)
	if err == nil && top > maxTop {
		err = badParam("limit", fmt.Errorf("%d is more than %d", top, maxTop))
	}
	if err != nil {
		return err
	}
	var s Stats
	ctx, notes := listen(r)
	if a.Stats != nil {
		if s, err = a.Stats(ctx, top); err != nil {
			return err
		}
	}
	type head struct {
		Series  uint64 `json:"numSeries"`
		Pairs   uint64 `json:"numLabelPairs"`
		Chunks  int64  `json:"chunkCount"`
		MinTime int64  `json:"minTime"`
		MaxTime int64  `json:"maxTime"`
	}
	return out.warned(struct {
		Head         head    `json:"headStats"`
		ByMetric     []count `json:"seriesCountByMetricName"`
		ByLabel      []count `json:"labelValueCountByLabelName"`
		BytesByLabel []count `json:"memoryInBytesByLabelName"`
		ByPair       []count `json:"seriesCountByLabelValuePair"`
	}{
		head{s.Series, s.Values, s.Chunks, s.MinTime, s.MaxTime},
		counts(s.ByMetric), counts(s.ByLabel), counts(s.BytesByLabel), counts(s.ByPair),
	}, notes)
}

func (a *api) statusBuild(out *answer, _ *http.Request) error {
	b := a.Build
	if b.GoVersion == "" {
		b.GoVersion = runtime.Version()
	}
	return out.data(b)
}

func (a *api) statusRuntime(out *answer, _ *http.Request) error {
	host, _ := os.Hostname() // empty where the system does not know
	dir, _ := os.Getwd()     // as above
	return out.data(struct {
		StartTime  time.Time `json:"startTime"`
		Dir        string    `json:"CWD"`
		Hostname   string    `json:"hostname"`
		ServerTime time.Time `json:"serverTime"`
		ReloadOK   bool      `json:"reloadConfigSuccess"`
		LastConfig time.Time `json:"lastConfigTime"`
		Corruption int64     `json:"corruptionCount"`
		Goroutines int       `json:"goroutineCount"`
		Processors int       `json:"GOMAXPROCS"`
		Memory     int64     `json:"GOMEMLIMIT"`
		Collection string    `json:"GOGC"`
		Debug      string    `json:"GODEBUG"`
		Retention  string    `json:"storageRetention"`
	}{
		StartTime: a.started.UTC(), Dir: dir, Hostname: host, ServerTime: a.Now().UTC(), ReloadOK: true, LastConfig: a.started.UTC(),
		Goroutines: runtime.NumGoroutine(), Processors: runtime.GOMAXPROCS(0), Memory: memoryLimit(),
		Collection: os.Getenv("GOGC"), Debug: os.Getenv("GODEBUG"), Retention: a.Retention,
	})
}

// memoryLimit is that of the runtime: asked with a negative one, it changes nothing.
func memoryLimit() int64 { return debug.SetMemoryLimit(-1) }

func (a *api) statusConfig(out *answer, _ *http.Request) error {
	text := ""
	if a.Config != nil {
		text = a.Config()
	}
	return out.data(map[string]string{"yaml": text})
}

func (a *api) statusFlags(out *answer, _ *http.Request) error {
	flags := a.Flags
	if flags == nil {
		flags = map[string]string{}
	}
	return out.data(flags)
}
