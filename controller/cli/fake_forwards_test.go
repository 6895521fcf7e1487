package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/novacron/novacron/metric"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	api "github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// fakeForwards are the forwards of the fake cluster. What becomes of one is decided by its name.
type fakeForwards struct {
	api.UnimplementedMetricForwardServiceHandler
	mu  sync.Mutex
	all map[string]*pb.MetricForward
}

func newFakeForwards() *fakeForwards { return &fakeForwards{all: map[string]*pb.MetricForward{}} }

func (f *fakeForwards) put(given *pb.MetricForwardSpec, secret []byte, generation uint64) (*pb.MetricForward, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	spec := metric.NormaliseForward(given, "c-1")
	if err := metric.ValidateForward(spec); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if sealed := spec.GetCredential().GetSealed(); sealed != nil && len(secret) > 0 {
		sealed.Fingerprint, sealed.SetTime = "f-1", ago(0)
	}
	forward := &pb.MetricForward{Spec: spec, Generation: generation, Id: 7, CreateTime: ago(time.Hour), Hosts: []*pb.MetricForwardHost{
		{HostName: "kvm-1", UpdateTime: ago(3 * time.Second), ObservedGeneration: generation, SentSamples: 12000, SentBytes: 64 << 10, Shards: 1, Protocol: 2, LastSuccessTime: ago(4 * time.Second)},
		{HostName: "kvm-2", UpdateTime: ago(time.Second), ObservedGeneration: 1, PendingSamples: 500, QueueBytes: 8 << 20, Lag: durationpb.New(5 * time.Minute), RetriedRequests: 9},
	}}
	if strings.HasPrefix(spec.GetName(), "bad") {
		forward.Hosts[1].LastError, forward.Hosts[1].LastErrorTime = "the remote answers 400 Bad Request: out of order", ago(time.Minute)
		forward.Hosts[1].DroppedSamples = map[string]uint64{"refused": 40, "queue_full": 2}
	}
	f.all[spec.GetName()] = forward
	return forward, nil
}

func (f *fakeForwards) CreateMetricForward(_ context.Context, r *connect.Request[pb.CreateMetricForwardRequest]) (*connect.Response[pb.CreateMetricForwardResponse], error) {
	forward, err := f.put(r.Msg.GetSpec(), r.Msg.GetSecret(), 1)
	return connect.NewResponse(&pb.CreateMetricForwardResponse{Forward: forward}), err
}

func (f *fakeForwards) UpdateMetricForward(_ context.Context, r *connect.Request[pb.UpdateMetricForwardRequest]) (*connect.Response[pb.UpdateMetricForwardResponse], error) {
	forward, err := f.put(r.Msg.GetSpec(), r.Msg.GetSecret(), r.Msg.GetGeneration()+1)
	return connect.NewResponse(&pb.UpdateMetricForwardResponse{Forward: forward}), err
}

func (f *fakeForwards) GetMetricForward(_ context.Context, r *connect.Request[pb.GetMetricForwardRequest]) (*connect.Response[pb.GetMetricForwardResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if found := f.all[r.Msg.GetName()]; found != nil {
		return connect.NewResponse(&pb.GetMetricForwardResponse{Forward: proto.CloneOf(found)}), nil
	}
	return nil, missing("metric forward", r.Msg.GetName())
}

func (f *fakeForwards) ListMetricForwards(context.Context, *connect.Request[pb.ListMetricForwardsRequest]) (*connect.Response[pb.ListMetricForwardsResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &pb.ListMetricForwardsResponse{}
	for _, name := range slices.Sorted(maps.Keys(f.all)) {
		answer.Forwards = append(answer.Forwards, f.all[name])
	}
	return connect.NewResponse(answer), nil
}

func (f *fakeForwards) DeleteMetricForward(_ context.Context, r *connect.Request[pb.DeleteMetricForwardRequest]) (*connect.Response[pb.DeleteMetricForwardResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all[r.Msg.GetName()] == nil {
		return nil, missing("metric forward", r.Msg.GetName())
	}
	delete(f.all, r.Msg.GetName())
	return connect.NewResponse(&pb.DeleteMetricForwardResponse{}), nil
}
