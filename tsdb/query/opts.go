package query

import (
	"time"

	"github.com/prometheus/prometheus/promql"
)

// Opts are those of one query. The type fits all versions of PromQL that this package is built with.
type Opts struct {
	// PerStep counts samples for each step.
	PerStep bool
	// Lookback is how old the value of an instant selector may be; 0 means the engine's.
	Lookback time.Duration
}

var _ promql.QueryOpts = Opts{}

// EnablePerStepStats tells whether samples are counted for each step.
func (o Opts) EnablePerStepStats() bool { return o.PerStep }

// LookbackDelta is how old the value of an instant selector may be.
func (o Opts) LookbackDelta() time.Duration { return o.Lookback }

// UseStartTimestamps leaves it to the engine.
func (o Opts) UseStartTimestamps() *bool { return nil }
