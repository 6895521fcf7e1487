package rpc

import (
	"context"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/vm"
)

func (s *storageService) findVolume(idOrName, project string) (*novacronv1.Volume, error) {
	if project == "" {
		project = vm.DefaultProject
	}
	view := s.Store.View()
	if volume, ok := view.Volume(idOrName, project); ok {
		return volume, nil
	}
	if volume, ok := view.Volume(idOrName, ""); ok && volume.GetId() == idOrName {
		return volume, nil
	}
	return nil, fmt.Errorf("%w: volume %q in project %s: see «novacron volume list»", state.ErrNotFound, idOrName, project)
}

// GetVolume reads one.
func (s *storageService) GetVolume(_ context.Context, r *connect.Request[novacronv1.GetVolumeRequest]) (*connect.Response[novacronv1.GetVolumeResponse], error) {
	volume, err := s.findVolume(r.Msg.GetVolume(), r.Msg.GetProject())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.GetVolumeResponse{Volume: volume}), nil
}

// ListVolumes reads them page by page.
func (s *storageService) ListVolumes(_ context.Context, r *connect.Request[novacronv1.ListVolumesRequest]) (*connect.Response[novacronv1.ListVolumesResponse], error) {
	page, answer := newPage(r.Msg.GetPageSize()), &novacronv1.ListVolumesResponse{}
	for key, volume := range s.Store.View().VolumesByName(r.Msg.GetPageToken()) {
		if project := r.Msg.GetProject(); project != "" && project != volume.GetSpec().GetProject() {
			continue
		}
		if page.full(len(answer.Volumes)) {
			answer.NextPageToken = page.last
			break
		}
		page.last = key
		answer.Volumes = append(answer.Volumes, volume)
	}
	return connect.NewResponse(answer), nil
}

// ResizeVolume commits the wish for a larger size.
func (s *storageService) ResizeVolume(ctx context.Context, r *connect.Request[novacronv1.ResizeVolumeRequest]) (*connect.Response[novacronv1.ResizeVolumeResponse], error) {
	if err := checkVolumeSize(r.Msg.GetSizeBytes()); err != nil {
		return nil, err
	}
	volume, err := s.findVolume(r.Msg.GetVolume(), r.Msg.GetProject())
	if err != nil {
		return nil, err
	}
	if r.Msg.GetSizeBytes() > volume.GetSpec().GetSizeBytes() {
		if err := s.detached(ctx, volume); err != nil {
			return nil, err
		}
	}
	changed, err := s.proposeVolume(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_ResizeVolume{ResizeVolume: &statev1.ResizeVolume{Id: volume.GetId(), SizeBytes: r.Msg.GetSizeBytes()}}
	})
	return connect.NewResponse(&novacronv1.ResizeVolumeResponse{Volume: changed}), err
}

// DeleteVolume commits the wish for an end. The host looks for users once more before it removes anything.
func (s *storageService) DeleteVolume(ctx context.Context, r *connect.Request[novacronv1.DeleteVolumeRequest]) (*connect.Response[novacronv1.DeleteVolumeResponse], error) {
	volume, err := s.findVolume(r.Msg.GetVolume(), r.Msg.GetProject())
	if err != nil {
		return nil, err
	}
	if err := s.detached(ctx, volume); err != nil {
		return nil, err
	}
	changed, err := s.proposeVolume(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteVolume{DeleteVolume: &statev1.DeleteVolume{Id: volume.GetId()}}
	})
	return connect.NewResponse(&novacronv1.DeleteVolumeResponse{Volume: changed}), err
}

func (s *storageService) proposeVolume(ctx context.Context, op func(*statev1.Command)) (*novacronv1.Volume, error) {
	value, err := s.propose(ctx, op)
	if err != nil {
		return nil, err
	}
	return value.(*novacronv1.Volume), nil
}

// detached makes sure that no machine has the volume as a disk, and asks its host whether another domain has. A host that
// does not answer looks itself, later.
func (s *storageService) detached(ctx context.Context, volume *novacronv1.Volume) error {
	view := s.Store.View()
	if machine := view.AttachedTo(volume); machine != nil {
		return fmt.Errorf("%w: volume %s is a disk of virtual machine %s in project %s: detach it there first, or delete that",
			state.ErrRefused, volume.GetSpec().GetName(), machine.GetSpec().GetName(), machine.GetSpec().GetProject())
	}
	host, ok := view.Host(volume.GetHostId())
	if !ok || host.GetState() != novacronv1.HostState_HOST_STATE_UP {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	batches, err := s.volumesOf(ctx, host, volume.GetSpec().GetPool())
	if err != nil {
		return nil //nolint:nilerr // the host looks again before it does anything
	}
	for _, batch := range batches {
		for _, stored := range batch.GetVolumes() {
			if stored.GetName() == state.StoredName(volume) && len(stored.GetUsedBy()) > 0 {
				return fmt.Errorf("%w: volume %s is a disk of domain %s on host %s: detach it there first",
					state.ErrRefused, volume.GetSpec().GetName(), strings.Join(stored.GetUsedBy(), ", "), host.GetName())
			}
		}
	}
	return nil
}

// DownloadVolume passes the bytes on from the volume's host.
func (s *storageService) DownloadVolume(ctx context.Context, r *connect.Request[novacronv1.DownloadVolumeRequest], stream *connect.ServerStream[novacronv1.DownloadVolumeResponse]) error {
	volume, err := s.findVolume(r.Msg.GetVolume(), r.Msg.GetProject())
	if err != nil {
		return err
	}
	host, ok := s.Store.View().Host(volume.GetHostId())
	if !ok || volume.GetStatus().GetState() != novacronv1.VolumeState_VOLUME_STATE_READY {
		return fmt.Errorf("%w: volume %s is %s: wait until it is ready", state.ErrRefused, volume.GetSpec().GetName(), volume.GetStatus().GetState())
	}
	bytes, err := s.agent(host).DownloadVolume(ctx, connect.NewRequest(&agentv1.DownloadVolumeRequest{
		VolumeId: volume.GetId(), Pool: volume.GetSpec().GetPool(), Format: volume.GetSpec().GetFormat(),
	}))
	if err != nil {
		return err
	}
	defer bytes.Close()
	for bytes.Receive() {
		if err := stream.Send(&novacronv1.DownloadVolumeResponse{Data: bytes.Msg().GetData(), Sha256: bytes.Msg().GetSha256()}); err != nil {
			return err
		}
	}
	return bytes.Err()
}
