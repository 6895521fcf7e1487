package rpc

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

const (
	// maxPushed bounds one push.
	maxPushed = 10_000
	// maxRefusedTold bounds how many refusals an answer tells one by one.
	maxRefusedTold = 100
	// pushTimeout bounds how long the hosts may take to store a push.
	pushTimeout = 15 * time.Second
)

// PushMetrics hands samples to the shards of hosts that are up. Each series has a host of its own, which it keeps while
// that host is up: the hosts are ranked by a hash of host and series, so that the loss of one moves its series alone.
// Storing a sample twice changes nothing: a push that failed half-way is pushed again as it was.
func (s *metricService) PushMetrics(ctx context.Context, r *connect.Request[novacronv1.PushMetricsRequest]) (*connect.Response[novacronv1.PushMetricsResponse], error) {
	if n := len(r.Msg.GetSamples()); n > maxPushed {
		return nil, invalid(fmt.Errorf("samples: %d, at most %d in one call: push them in parts", n, maxPushed))
	}
	hosts, err := s.pushHosts(r.Msg.GetHost())
	if err != nil {
		return nil, err
	}
	now := timestamppb.New(s.Now())
	parts := map[string][]int{}
	for i, sample := range r.Msg.GetSamples() {
		if sample.GetTime() == nil {
			sample.Time = now
		}
		id := keeper(sample, hosts)
		parts[id] = append(parts[id], i)
	}
	return s.push(ctx, r.Msg.GetSamples(), parts, hosts)
}

// pushHosts are the hosts that may store: the one that is named, or all that are up.
func (s *metricService) pushHosts(name string) (map[string]*novacronv1.Host, error) {
	view, hosts := s.Store.View(), map[string]*novacronv1.Host{}
	if name != "" {
		host, ok := view.Host(name)
		if !ok {
			return nil, fmt.Errorf("%w: host %q: see «novacron host list»", state.ErrNotFound, name)
		}
		hosts[host.GetId()] = host
		return hosts, nil
	}
	for id, host := range view.Hosts("") {
		if host.GetState() == novacronv1.HostState_HOST_STATE_UP {
			hosts[id] = host
		}
	}
	if len(hosts) == 0 {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("no host is up to store metrics: see «novacron host list»"))
	}
	return hosts, nil
}

// keeper is the host that ranks highest for a series.
func keeper(sample *novacronv1.MetricSample, hosts map[string]*novacronv1.Host) (best string) {
	series := []byte(sample.GetName())
	for _, label := range slices.Sorted(maps.Keys(sample.GetLabels())) {
		series = append(append(append(append(series, 0), label...), 0), sample.GetLabels()[label]...)
	}
	var highest uint64
	for id := range hosts {
		hash := fnv.New64a()
		_, _ = hash.Write(series) // a hash takes everything
		_, _ = hash.Write([]byte("\x01" + id))
		if rank := mix(hash.Sum64()); best == "" || rank > highest || rank == highest && id < best {
			best, highest = id, rank
		}
	}
	return best
}

// mix spreads the last bytes that were hashed over all bits (the finaliser of MurmurHash3).
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// pushed is what one host made of its part.
type pushed struct {
	host   *novacronv1.Host
	part   []int
	answer *agentv1.StoreMetricsResponse
	err    error
}

func (s *metricService) push(ctx context.Context, samples []*novacronv1.MetricSample, parts map[string][]int, hosts map[string]*novacronv1.Host) (*connect.Response[novacronv1.PushMetricsResponse], error) {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	var pushing sync.WaitGroup
	var all []*pushed
	for _, id := range slices.Sorted(maps.Keys(parts)) {
		one := &pushed{host: hosts[id], part: parts[id]}
		all = append(all, one)
		pushing.Go(func() { one.answer, one.err = s.pushTo(ctx, one, samples) })
	}
	pushing.Wait()
	answer := &novacronv1.PushMetricsResponse{}
	var failures []error
	for _, one := range all {
		if one.err != nil {
			failures = append(failures, fmt.Errorf("host %s: %w", one.host.GetName(), one.err))
			continue
		}
		gather(answer, one)
	}
	slices.Sort(answer.Hosts)
	if len(failures) > 0 {
		return nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf("%d of %d samples are stored: push all of them again, which changes nothing about those: %w", answer.GetStored(), len(samples), errors.Join(failures...)))
	}
	return connect.NewResponse(answer), nil
}

func (s *metricService) pushTo(ctx context.Context, one *pushed, samples []*novacronv1.MetricSample) (*agentv1.StoreMetricsResponse, error) {
	request := &agentv1.StoreMetricsRequest{}
	for _, i := range one.part {
		request.Samples = append(request.Samples, samples[i])
	}
	client := agentv1connect.NewMetricAgentServiceClient(s.Peers, memberURL(one.host.GetInfo().GetApiAddress()), connect.WithReadMaxBytes(node.MaxMessageBytes))
	answer, err := client.StoreMetrics(ctx, connect.NewRequest(request))
	if err != nil {
		return nil, err
	}
	return answer.Msg, nil
}

// gather adds what one host answered; its places become those of the whole push.
func gather(answer *novacronv1.PushMetricsResponse, one *pushed) {
	answer.Stored += one.answer.GetStored()
	answer.RefusedCount += uint32(len(one.part)) - min(one.answer.GetStored(), uint32(len(one.part)))
	if one.answer.GetStored() > 0 {
		answer.Hosts = append(answer.Hosts, one.host.GetName())
	}
	for _, refused := range one.answer.GetRefused() {
		if len(answer.GetRefused()) == maxRefusedTold || int(refused.GetIndex()) >= len(one.part) {
			return
		}
		next := proto.CloneOf(refused)
		next.Index = uint32(one.part[refused.GetIndex()])
		answer.Refused = append(answer.Refused, next)
	}
}
