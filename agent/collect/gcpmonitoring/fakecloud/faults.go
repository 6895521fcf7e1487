package fakecloud

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Faults are what goes wrong.
type Faults struct {
	// Next are the faults of the next calls, by method: ListTimeSeries, ListMetricDescriptors, instances or
	// machineTypes; each is used up by one call.
	Next map[string][]Fault
	// Down refuses new connections.
	Down bool
	// Twice returns each series two times, Empty adds points and series without a value.
	Twice, Empty bool
	// Hang keeps calls of Monitoring until they are cancelled.
	Hang bool
}

// Fault is one of one call. A call with Code OK is answered, with the rest of the fault.
type Fault struct {
	Code   codes.Code
	Reason string
	// RetryAfter is told where it is not 0.
	RetryAfter time.Duration
	// Unable is told beside the answer: parts of it are missing.
	Unable string
	// Lose leaves out every other series.
	Lose bool
}

// Inject adds faults of the next calls of a method.
func (c *Cloud) Inject(method string, faults ...Fault) {
	c.Lock()
	defer c.Unlock()
	if c.Faults.Next == nil {
		c.Faults.Next = map[string][]Fault{}
	}
	c.Faults.Next[method] = append(c.Faults.Next[method], faults...)
}

// called counts a call and gives its fault.
func (c *Cloud) called(method string) (f Fault) {
	c.Calls[method]++
	if next := c.Faults.Next[method]; len(next) > 0 {
		f, c.Faults.Next[method] = next[0], next[1:]
	}
	return f
}

// err is the fault as gRPC tells it; nil for OK.
func (f Fault) err() error {
	if f.Code == codes.OK {
		return nil
	}
	s := status.New(f.Code, f.message())
	if f.RetryAfter > 0 {
		if detailed, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter)}); err == nil {
			s = detailed
		}
	}
	return s.Err()
}

func (f Fault) message() string {
	if f.Reason != "" {
		return f.Reason
	}
	return "injected: " + f.Code.String()
}

// unable are the errors beside an answer.
func (f Fault) unable() []*rpcstatus.Status {
	if f.Unable == "" {
		return nil
	}
	return []*rpcstatus.Status{{Code: int32(codes.Internal), Message: f.Unable}}
}
