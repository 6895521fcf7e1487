package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

// storageTimeout bounds one look at a host's pools.
const storageTimeout = 30 * time.Second

type storageService struct{ *Server }

var _ novacronv1connect.StorageServiceHandler = (*storageService)(nil)

func (s *storageService) agent(host *novacronv1.Host) agentv1connect.StorageAgentServiceClient {
	return agentv1connect.NewStorageAgentServiceClient(s.Peers, memberURL(host.GetInfo().GetApiAddress()), connect.WithReadMaxBytes(node.MaxMessageBytes))
}

// hosts are those to ask: the one that is named, or all.
func (s *storageService) hosts(name string) (hosts []*novacronv1.Host, err error) {
	view := s.Store.View()
	if name != "" {
		host, ok := view.Host(name)
		if !ok {
			return nil, fmt.Errorf("%w: host %q: see «novacron host list»", state.ErrNotFound, name)
		}
		return []*novacronv1.Host{host}, nil
	}
	for _, host := range view.Hosts("") {
		hosts = append(hosts, host)
	}
	return hosts, nil
}

// fanOut asks hosts at once, and gives their answers in the order of the hosts. One that cannot be asked is a failure in
// the answer, not of the call.
func fanOut[T any](ctx context.Context, hosts []*novacronv1.Host, ask func(context.Context, *novacronv1.Host) (T, error)) (answers []T, failures []*novacronv1.HostFailure) {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	all, errs := make([]T, len(hosts)), make([]error, len(hosts))
	var asked sync.WaitGroup
	for i, host := range hosts {
		asked.Go(func() {
			if host.GetState() != novacronv1.HostState_HOST_STATE_UP {
				errs[i] = fmt.Errorf("the host is %s", host.GetState())
				return
			}
			all[i], errs[i] = ask(ctx, host)
		})
	}
	asked.Wait()
	for i, err := range errs {
		if err != nil {
			failures = append(failures, &novacronv1.HostFailure{HostName: hosts[i].GetName(), Message: err.Error()})
			continue
		}
		answers = append(answers, all[i])
	}
	return answers, failures
}

// ListPools asks the hosts.
func (s *storageService) ListPools(ctx context.Context, r *connect.Request[novacronv1.ListPoolsRequest]) (*connect.Response[novacronv1.ListPoolsResponse], error) {
	hosts, err := s.hosts(r.Msg.GetHost())
	if err != nil {
		return nil, err
	}
	answers, failures := fanOut(ctx, hosts, s.poolsOf)
	answer := &novacronv1.ListPoolsResponse{Failures: failures}
	for _, pools := range answers {
		answer.Pools = append(answer.Pools, pools...)
	}
	return connect.NewResponse(answer), nil
}

func (s *storageService) poolsOf(ctx context.Context, host *novacronv1.Host) ([]*novacronv1.Pool, error) {
	answer, err := s.agent(host).ListPools(ctx, connect.NewRequest(&agentv1.ListPoolsRequest{}))
	if err != nil {
		return nil, err
	}
	for _, pool := range answer.Msg.GetPools() {
		pool.HostId, pool.HostName = host.GetId(), host.GetName()
	}
	return answer.Msg.GetPools(), nil
}

// ListStoredVolumes asks the hosts, and adds what the cluster knows of the owners.
func (s *storageService) ListStoredVolumes(ctx context.Context, r *connect.Request[novacronv1.ListStoredVolumesRequest], stream *connect.ServerStream[novacronv1.ListStoredVolumesResponse]) error {
	hosts, err := s.hosts(r.Msg.GetHost())
	if err != nil {
		return err
	}
	answers, failures := fanOut(ctx, hosts, func(ctx context.Context, host *novacronv1.Host) (storedVolumes, error) {
		return s.volumesOf(ctx, host, r.Msg.GetPool())
	})
	if err := s.Fresh(ctx); err != nil { // a record that is newer than a listing must not look like an orphan
		return err
	}
	view := s.Store.View()
	for _, batches := range answers {
		for _, batch := range batches {
			claim(view, batch.GetVolumes())
			if err := stream.Send(&novacronv1.ListStoredVolumesResponse{Volumes: batch.GetVolumes()}); err != nil {
				return err
			}
		}
	}
	return stream.Send(&novacronv1.ListStoredVolumesResponse{Failures: failures})
}

// storedVolumes are the messages of one host.
type storedVolumes []*agentv1.ListVolumesResponse

func (s *storageService) volumesOf(ctx context.Context, host *novacronv1.Host, pool string) (batches storedVolumes, err error) {
	stream, err := s.agent(host).ListVolumes(ctx, connect.NewRequest(&agentv1.ListVolumesRequest{Pool: pool}))
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	for stream.Receive() {
		batch := stream.Msg()
		for _, volume := range batch.GetVolumes() {
			volume.HostId, volume.HostName = host.GetId(), host.GetName()
		}
		batches = append(batches, &agentv1.ListVolumesResponse{Volumes: batch.GetVolumes()})
	}
	return batches, stream.Err()
}

// claim names the owners that the cluster knows. What a host takes for an orphan is none while the cluster has a record of
// its owner, on whatever host.
func claim(view state.View, volumes []*novacronv1.StoredVolume) {
	images := map[string]string{}
	for name, image := range view.Images("") {
		images[image.GetSha256()] = name
	}
	for _, volume := range volumes {
		if vm, ok := view.VM(volume.GetOwnerId(), ""); ok && volume.GetOwnerId() != "" {
			volume.OwnerName, volume.OwnerProject = vm.GetSpec().GetName(), vm.GetSpec().GetProject()
			volume.Owner = novacronv1.VolumeOwner_VOLUME_OWNER_VM
		}
		if own, ok := view.Volume(volume.GetOwnerId(), ""); ok && volume.GetOwnerId() != "" {
			volume.OwnerName, volume.OwnerProject = own.GetSpec().GetName(), own.GetSpec().GetProject()
			volume.Owner = novacronv1.VolumeOwner_VOLUME_OWNER_VOLUME
		}
		if name, ok := images[volume.GetOwnerId()]; ok {
			volume.OwnerName = name
		}
	}
}

// RemoveOrphan looks at the cluster's records as they are now, then has the host look at what it knows and remove the volume.
func (s *storageService) RemoveOrphan(ctx context.Context, r *connect.Request[novacronv1.RemoveOrphanRequest]) (*connect.Response[novacronv1.RemoveOrphanResponse], error) {
	if r.Msg.GetHost() == "" || r.Msg.GetPool() == "" || r.Msg.GetName() == "" {
		return nil, invalid(errors.New("host, pool and name: each must be set: see «novacron volume orphans»"))
	}
	if err := s.Fresh(ctx); err != nil {
		return nil, err
	}
	hosts, err := s.hosts(r.Msg.GetHost())
	if err != nil {
		return nil, err
	}
	volume := &novacronv1.StoredVolume{OwnerId: ownerID(r.Msg.GetName())}
	claim(s.Store.View(), []*novacronv1.StoredVolume{volume})
	if volume.GetOwner() != novacronv1.VolumeOwner_VOLUME_OWNER_UNSPECIFIED {
		return nil, fmt.Errorf("%w: volume %s in pool %s of host %s belongs to %s of project %s: delete that instead",
			state.ErrRefused, r.Msg.GetName(), r.Msg.GetPool(), hosts[0].GetName(), volume.GetOwnerName(), volume.GetOwnerProject())
	}
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	_, err = s.agent(hosts[0]).RemoveOrphan(ctx, connect.NewRequest(&agentv1.RemoveOrphanRequest{Pool: r.Msg.GetPool(), Name: r.Msg.GetName()}))
	return connect.NewResponse(&novacronv1.RemoveOrphanResponse{}), err
}

// ownerID finds the id in a volume's name. The host judges the name; here it only must not be overlooked.
func ownerID(name string) string {
	const uuidLength = 36
	for _, prefix := range []string{"nc-vol-", "nc-"} {
		if len(name) >= len(prefix)+uuidLength && name[:len(prefix)] == prefix {
			return name[len(prefix) : len(prefix)+uuidLength]
		}
	}
	return ""
}
