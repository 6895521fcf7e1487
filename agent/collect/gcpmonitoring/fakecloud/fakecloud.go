// Package fakecloud speaks Google's Monitoring API over gRPC and its Compute API over HTTP from a model of the truth, with faults, for tests.
package fakecloud

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// MonitoringEndpoint and ComputeEndpoint are where Dial finds the two APIs; nothing else can be dialled.
const (
	MonitoringEndpoint = "http://monitoring.fake:80"
	ComputeEndpoint    = "http://compute.fake:80"
)

// Cloud is one project. Its fields are changed under Lock alone.
type Cloud struct {
	sync.Mutex
	Project   string
	Instances []Instance
	// MachineTypes are by name.
	MachineTypes map[string]MachineType
	Metrics      []Metric
	Faults       Faults
	// Skew is how far the cloud's clock is ahead of the tests'.
	Skew time.Duration
	// PageSize bounds a page of Monitoring below the API's limit; 0 means the limit.
	PageSize int
	// Calls counts answered and refused requests by method.
	Calls map[string]int
	// Returned counts the time series that were returned: what Google charges for.
	Returned int
	// Filters are those of ListTimeSeries, the last of each metric type.
	Filters map[string]string
	// Token is what the Compute API wants in the header «Authorization»; empty for none.
	Token string

	monitoring, compute *bufconn.Listener
}

// bufferBytes is what a connection holds.
const bufferBytes = 1 << 16

// New is a project without anything in it.
func New(project string) *Cloud {
	return &Cloud{
		Project: project, MachineTypes: map[string]MachineType{}, Calls: map[string]int{}, Filters: map[string]string{},
		monitoring: bufconn.Listen(bufferBytes), compute: bufconn.Listen(bufferBytes),
	}
}

// Serve answers until stop is called.
func (c *Cloud) Serve() (stop func()) {
	rpc := grpc.NewServer()
	monitoringpb.RegisterMetricServiceServer(rpc, &monitoring{cloud: c})
	web := &http.Server{Handler: c.handler(), ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = rpc.Serve(c.monitoring) }) // ends with Stop
	serving.Go(func() { _ = web.Serve(c.compute) })    // ends with Close
	return func() {
		rpc.Stop()
		_ = web.Close()
		serving.Wait()
	}
}

// Dial connects to the two APIs in memory and refuses every other address.
func (c *Cloud) Dial(ctx context.Context, address string) (net.Conn, error) {
	c.Lock()
	down := c.Faults.Down
	c.Unlock()
	switch {
	case down:
		return nil, fmt.Errorf("dial %s: connection refused", address)
	case address == "monitoring.fake:80":
		return c.monitoring.DialContext(ctx)
	case address == "compute.fake:80":
		return c.compute.DialContext(ctx)
	}
	return nil, fmt.Errorf("dial %s: a test must not leave the machine", address)
}

// now is the time by the cloud's clock.
func (c *Cloud) now() time.Time { return time.Now().Add(c.Skew) }
