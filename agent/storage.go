package agent

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/reconcile"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// storageService tells controllers what lies in this host's pools.
type storageService struct {
	machines *hypervisor.Manager
	// wants tells whether the cluster wants an owner of volumes on this host.
	wants func(id string) (bool, error)
}

var _ agentv1connect.StorageAgentServiceHandler = storageService{}

// wants tells whether the cluster wants a machine or a volume of that id on this host.
func (d *daemon) wants(id string) (bool, error) {
	machine, err := d.reconciler.Wants(id)
	if machine || err != nil {
		return machine, err
	}
	return d.volumes.Wants(id)
}

// contentOf fetches the bytes that a volume is filled with.
func (d *daemon) contentOf(ctx context.Context, volume *novacronv1.Volume) (hypervisor.ImageFile, error) {
	spec := volume.GetSpec()
	return imageSource{daemon: d}.file(ctx, &novacronv1.ImageRef{
		Name: spec.GetName(), Sha256: spec.GetSource().GetSha256(), SizeBytes: spec.GetSource().GetContentBytes(), Format: spec.GetFormat(),
	})
}

// volumeBatch is how many volumes travel in one message.
const volumeBatch = 500

// ListPools looks at the pools.
func (s storageService) ListPools(ctx context.Context, _ *connect.Request[agentv1.ListPoolsRequest]) (*connect.Response[agentv1.ListPoolsResponse], error) {
	facts, err := s.machines.HostFacts(ctx)
	if err != nil {
		return nil, storageError(err)
	}
	answer := &agentv1.ListPoolsResponse{}
	for _, p := range facts.Pools {
		stored, err := s.machines.Stored(ctx, p.Name)
		if err != nil {
			return nil, storageError(err)
		}
		answer.Pools = append(answer.Pools, &novacronv1.Pool{
			Name: p.Name, Type: p.Type, Path: p.Path, CapacityBytes: p.CapacityBytes, FreeBytes: p.FreeBytes, Volumes: uint32(len(stored)),
		})
	}
	return connect.NewResponse(answer), nil
}

// ListVolumes looks into the pools.
func (s storageService) ListVolumes(ctx context.Context, r *connect.Request[agentv1.ListVolumesRequest], stream *connect.ServerStream[agentv1.ListVolumesResponse]) error {
	all, err := s.machines.Stored(ctx, r.Msg.GetPool())
	if err != nil {
		return storageError(err)
	}
	for len(all) > 0 {
		batch := all[:min(len(all), volumeBatch)]
		all = all[len(batch):]
		answer := &agentv1.ListVolumesResponse{}
		for _, v := range batch {
			answer.Volumes = append(answer.Volumes, s.toProto(v))
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
	return nil
}

func (s storageService) toProto(v hypervisor.Stored) *novacronv1.StoredVolume {
	return &novacronv1.StoredVolume{
		Pool: v.Pool, Name: v.Name, Path: v.Path, Format: v.Format, CapacityBytes: v.CapacityBytes, AllocationBytes: v.AllocationBytes,
		BackingPath: v.BackingPath, Owner: s.owner(v), OwnerId: v.OwnerID, Overlays: uint32(v.Overlays), UsedBy: v.UsedBy,
	}
}

// owner is whose a volume is, as far as this host knows: what the cluster wants here counts too.
func (s storageService) owner(v hypervisor.Stored) novacronv1.VolumeOwner {
	if v.Orphan() && !s.wanted(v.OwnerID) {
		return novacronv1.VolumeOwner_VOLUME_OWNER_ORPHAN
	}
	return ownerOf(v.Owner)
}

func (s storageService) wanted(id string) bool {
	wanted, err := s.wants(id)
	return wanted || err != nil
}

func ownerOf(kind hypervisor.OwnerKind) novacronv1.VolumeOwner {
	switch kind {
	case hypervisor.OwnerVM:
		return novacronv1.VolumeOwner_VOLUME_OWNER_VM
	case hypervisor.OwnerImage:
		return novacronv1.VolumeOwner_VOLUME_OWNER_IMAGE
	case hypervisor.OwnerVolume:
		return novacronv1.VolumeOwner_VOLUME_OWNER_VOLUME
	case hypervisor.OwnerForeign:
	}
	return novacronv1.VolumeOwner_VOLUME_OWNER_FOREIGN
}

// RemoveOrphan removes a volume that nothing on this host and nothing that the cluster wants of it stands for.
func (s storageService) RemoveOrphan(ctx context.Context, r *connect.Request[agentv1.RemoveOrphanRequest]) (*connect.Response[agentv1.RemoveOrphanResponse], error) {
	ref := hypervisor.VolumeRef{Pool: r.Msg.GetPool(), Name: r.Msg.GetName()}
	err := s.machines.RemoveOrphan(ctx, ref, func(kind hypervisor.OwnerKind, id string) error {
		wanted, err := s.wants(id)
		if err == nil && wanted {
			err = fmt.Errorf("volume %s in pool %s: %w: the cluster wants %s %s on this host", ref.Name, ref.Pool, hypervisor.ErrOwned, kind, id)
		}
		return err
	})
	if err != nil {
		return nil, storageError(err)
	}
	return connect.NewResponse(&agentv1.RemoveOrphanResponse{}), nil
}

// CreatePool attaches a pool.
func (s storageService) CreatePool(ctx context.Context, r *connect.Request[agentv1.CreatePoolRequest]) (*connect.Response[agentv1.CreatePoolResponse], error) {
	p := r.Msg.GetPool()
	spec := hypervisor.PoolSpec{
		Name: p.GetName(), Type: p.GetType(), Path: p.GetPath(), Hosts: p.GetHosts(), Source: p.GetSource(), User: p.GetUser(), Secret: p.GetSecret(),
	}
	if err := spec.Check(); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if err := s.machines.CreatePool(ctx, spec); err != nil {
		return nil, storageError(err)
	}
	return connect.NewResponse(&agentv1.CreatePoolResponse{}), nil
}

// DeletePool detaches a pool.
func (s storageService) DeletePool(ctx context.Context, r *connect.Request[agentv1.DeletePoolRequest]) (*connect.Response[agentv1.DeletePoolResponse], error) {
	if err := s.machines.DeletePool(ctx, r.Msg.GetName()); err != nil {
		return nil, storageError(err)
	}
	return connect.NewResponse(&agentv1.DeletePoolResponse{}), nil
}

// downloadChunk is how much of a volume travels in one message.
const downloadChunk = 256 << 10

// DownloadVolume streams a volume, and its hash at the end.
func (s storageService) DownloadVolume(ctx context.Context, r *connect.Request[agentv1.DownloadVolumeRequest], stream *connect.ServerStream[agentv1.DownloadVolumeResponse]) error {
	sum, err := s.machines.ReadVolume(ctx, r.Msg.GetVolumeId(), r.Msg.GetPool(), r.Msg.GetFormat(), volumeWriter{stream})
	if err != nil {
		return storageError(err)
	}
	return stream.Send(&agentv1.DownloadVolumeResponse{Sha256: sum})
}

type volumeWriter struct {
	stream *connect.ServerStream[agentv1.DownloadVolumeResponse]
}

func (w volumeWriter) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		n := min(len(rest), downloadChunk)
		if err := w.stream.Send(&agentv1.DownloadVolumeResponse{Data: rest[:n]}); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(data), nil
}

func storageError(err error) error {
	if errors.Is(err, reconcile.ErrUninformed) {
		return connect.NewError(connect.CodeUnavailable, err)
	}
	return connect.NewError(codeOf(err), err)
}
