package sim

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/federate/cache"
	"github.com/novacron/novacron/tsdb/federate/wire"
	"github.com/novacron/novacron/tsdb/httpapi"
	"github.com/novacron/novacron/tsdb/query"
)

// ControllerOptions describe a controller.
type ControllerOptions struct {
	// Hosts lists the hosts.
	Hosts func() []wire.Host
	// Material proves a controller.
	Material pki.Material
	// Network connects to the hosts; nil is TCP.
	Network Network
	// Fleet is how hosts are asked.
	Fleet federate.Options
	// Clock is that of the cache of results; nil is the machine's.
	Clock func() time.Time
	// Patience is how long it may take to connect, and to answer a ping; 0 is as long as the daemons wait.
	Patience time.Duration
}

// Asker asks all hosts as a controller does.
type Asker struct {
	// Questions push down to the shards; API is the HTTP API of Prometheus.
	Questions federate.Questions
	API       http.Handler
	// RawAPI is the same without pushing down: it reads the raw series of all hosts.
	RawAPI http.Handler
	// CachedAPI is API with the cache of results that controllers have.
	CachedAPI http.Handler
	// Raw answers so.
	Raw *query.Engine

	caller caller
}

// NewAsker makes what a controller asks with. The caller must Close it.
func NewAsker(options ControllerOptions) (*Asker, error) {
	credentials, err := pki.NewCredentials(options.Material, pki.Options{})
	if err != nil {
		return nil, err
	}
	if options.Network == nil {
		options.Network = TCP{}
	}
	a := &Asker{}
	if a.caller, err = newCaller(credentials, options.Network, Controller, options.Patience); err != nil {
		return nil, err
	}
	if a.Raw, err = query.New(query.Options{}); err != nil {
		return nil, err
	}
	roster := &wire.Roster{Hosts: options.Hosts, HTTP: a.caller.direct, Logger: slog.New(slog.DiscardHandler)}
	fleet, pushing := federate.NewFleet(roster, options.Fleet), federate.NewEngine(a.Raw, 0)
	a.Questions = federate.Questions{Engine: pushing, Fleet: fleet}
	api := httpapi.Options{Engine: pushing, Source: fleet.WithComplete(false), Complete: fleet.WithComplete(true)}
	a.API = httpapi.New(api)
	api.Engine = pushing.WithCache(cache.New(0), options.Clock)
	a.CachedAPI = httpapi.New(api)
	api.Engine = a.Raw
	a.RawAPI = httpapi.New(api)
	return a, nil
}

// Close ends the connections.
func (a *Asker) Close() error {
	a.caller.close()
	return a.Raw.Close()
}
