package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"google.golang.org/protobuf/proto"
)

func (f *fake) ListPools(_ context.Context, req *connect.Request[pb.ListPoolsRequest]) (*connect.Response[pb.ListPoolsResponse], error) {
	answer := &pb.ListPoolsResponse{Failures: downHost(req.Msg.Host)}
	for _, pool := range []*pb.Pool{
		{HostId: "id-kvm-1", HostName: "kvm-1", Name: "default", Type: "dir", Path: "/var/lib/libvirt/images", CapacityBytes: 100 << 30, FreeBytes: 40 << 30, Volumes: 4},
		{HostId: "id-kvm-1", HostName: "kvm-1", Name: "fast", Type: "logical", Path: "/dev/fast", CapacityBytes: 10 << 30, FreeBytes: 10 << 30},
		{HostId: "id-kvm-3", HostName: "kvm-3", Name: "default", Type: "dir", Path: "/srv", CapacityBytes: 50 << 30, FreeBytes: 50 << 30},
	} {
		if req.Msg.Host == "" || req.Msg.Host == pool.HostName {
			answer.Pools = append(answer.Pools, pool)
		}
	}
	return connect.NewResponse(answer), nil
}

func downHost(host string) []*pb.HostFailure {
	if host != "" && host != "kvm-2" {
		return nil
	}
	return []*pb.HostFailure{{HostName: "kvm-2", Message: "the host is HOST_STATE_DOWN"}}
}

func storedVolumes() []*pb.StoredVolume {
	const id = "11111111-2222-3333-4444-555555555555"
	base := "nc-base-" + strings.Repeat("ab", 32) + ".raw"
	at := func(v *pb.StoredVolume) *pb.StoredVolume {
		v.HostId, v.HostName, v.Pool, v.Path = "id-kvm-1", "kvm-1", "default", "/pool/"+v.Name
		return v
	}
	return []*pb.StoredVolume{
		at(&pb.StoredVolume{Name: "backup.qcow2", Format: "qcow2", CapacityBytes: 1 << 30, Owner: pb.VolumeOwner_VOLUME_OWNER_FOREIGN}),
		at(&pb.StoredVolume{Name: base, Format: "raw", CapacityBytes: 325 << 20, AllocationBytes: 325 << 20,
			Owner: pb.VolumeOwner_VOLUME_OWNER_IMAGE, OwnerId: strings.Repeat("ab", 32), OwnerName: "debian-12", Overlays: 1}),
		at(&pb.StoredVolume{Name: "nc-" + id + "-root.qcow2", Format: "qcow2", CapacityBytes: 20 << 30, AllocationBytes: 1 << 20, BackingPath: "/pool/" + base,
			Owner: pb.VolumeOwner_VOLUME_OWNER_VM, OwnerId: id, OwnerName: "web-1", OwnerProject: "default", UsedBy: []string{"web-1"}}),
		at(&pb.StoredVolume{Name: "nc-" + strings.Replace(id, "1", "9", 1) + "-root.qcow2", Format: "qcow2", CapacityBytes: 5 << 30,
			Owner: pb.VolumeOwner_VOLUME_OWNER_ORPHAN, OwnerId: strings.Replace(id, "1", "9", 1)}),
	}
}

func (f *fake) ListStoredVolumes(_ context.Context, req *connect.Request[pb.ListStoredVolumesRequest], stream *connect.ServerStream[pb.ListStoredVolumesResponse]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, volume := range storedVolumes() {
		if !f.removed[volume.Name] && (req.Msg.Host == "" || req.Msg.Host == volume.HostName) {
			if err := stream.Send(&pb.ListStoredVolumesResponse{Volumes: []*pb.StoredVolume{volume}}); err != nil {
				return err
			}
		}
	}
	return stream.Send(&pb.ListStoredVolumesResponse{Failures: downHost(req.Msg.Host)})
}

func (f *fake) RemoveOrphan(_ context.Context, req *connect.Request[pb.RemoveOrphanRequest]) (*connect.Response[pb.RemoveOrphanResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, volume := range storedVolumes() {
		if volume.Name == req.Msg.Name && volume.Owner != pb.VolumeOwner_VOLUME_OWNER_ORPHAN {
			return nil, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("volume %s is owned", req.Msg.Name))
		}
	}
	f.removed[req.Msg.Name] = true
	return connect.NewResponse(&pb.RemoveOrphanResponse{}), nil
}

// CreateVolume makes a volume at once, unless its name says that it fails.
func (f *fake) CreateVolume(_ context.Context, req *connect.Request[pb.CreateVolumeRequest]) (*connect.Response[pb.CreateVolumeResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	spec := req.Msg.Spec
	if f.volumes[spec.Name] != nil {
		return nil, connect.NewError(connect.CodeAlreadyExists, fmt.Errorf("name: %q is taken: choose another name", spec.Name))
	}
	spec.Pool, spec.Format = firstOf(spec.Pool, "default"), firstOf(spec.Format, "qcow2")
	if spec.SizeBytes == 0 {
		spec.SizeBytes = 1 << 30
	}
	made := &pb.Volume{Id: "id-" + spec.Name, Spec: spec, HostId: "id-kvm-1", HostName: "kvm-1", Generation: 1, CreateTime: ago(0)}
	f.volumes[spec.Name] = made
	made.Status = &pb.VolumeStatus{State: pb.VolumeState_VOLUME_STATE_CREATING}
	answer := connect.NewResponse(&pb.CreateVolumeResponse{Volume: proto.CloneOf(made)})
	f.finish(made)
	return answer, nil
}

// finish is what the host makes of a wish.
func (f *fake) finish(v *pb.Volume) {
	v.Status = &pb.VolumeStatus{State: pb.VolumeState_VOLUME_STATE_READY, ObservedGeneration: v.Generation, Path: "/pool/" + v.Id, CapacityBytes: v.Spec.SizeBytes}
	if v.Spec.Name == "broken" {
		v.Status = &pb.VolumeStatus{State: pb.VolumeState_VOLUME_STATE_FAILED, ObservedGeneration: v.Generation, Message: "the disk is full: free room"}
	}
}

func (f *fake) GetVolume(_ context.Context, req *connect.Request[pb.GetVolumeRequest]) (*connect.Response[pb.GetVolumeResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, err := f.volumeNamed(req.Msg.Volume)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.GetVolumeResponse{Volume: proto.CloneOf(v)}), nil
}

func (f *fake) volumeNamed(name string) (*pb.Volume, error) {
	if v := f.volumes[strings.TrimPrefix(name, "id-")]; v != nil {
		return v, nil
	}
	return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("volume %q does not exist", name))
}

func (f *fake) ListVolumes(context.Context, *connect.Request[pb.ListVolumesRequest]) (*connect.Response[pb.ListVolumesResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &pb.ListVolumesResponse{}
	for _, name := range slices.Sorted(maps.Keys(f.volumes)) {
		answer.Volumes = append(answer.Volumes, proto.CloneOf(f.volumes[name]))
	}
	return connect.NewResponse(answer), nil
}

func (f *fake) ResizeVolume(_ context.Context, req *connect.Request[pb.ResizeVolumeRequest]) (*connect.Response[pb.ResizeVolumeResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, err := f.volumeNamed(req.Msg.Volume)
	if err != nil {
		return nil, err
	}
	if req.Msg.SizeBytes < v.Spec.SizeBytes {
		return nil, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("sizeBytes: a volume never shrinks: create a smaller volume"))
	}
	v.Spec.SizeBytes = req.Msg.SizeBytes
	v.Generation++
	answer := connect.NewResponse(&pb.ResizeVolumeResponse{Volume: proto.CloneOf(v)})
	f.finish(v)
	return answer, nil
}

func (f *fake) DeleteVolume(_ context.Context, req *connect.Request[pb.DeleteVolumeRequest]) (*connect.Response[pb.DeleteVolumeResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, err := f.volumeNamed(req.Msg.Volume)
	if err != nil {
		return nil, err
	}
	delete(f.volumes, v.Spec.Name)
	v.DeleteTime, v.Generation, v.Status.State = ago(0), v.Generation+1, pb.VolumeState_VOLUME_STATE_DELETING
	return connect.NewResponse(&pb.DeleteVolumeResponse{Volume: proto.CloneOf(v)}), nil
}

func (f *fake) DownloadVolume(_ context.Context, req *connect.Request[pb.DownloadVolumeRequest], stream *connect.ServerStream[pb.DownloadVolumeResponse]) error {
	data := []byte("the bytes of " + req.Msg.Volume)
	for len(data) > 0 {
		n := min(4, len(data))
		if err := stream.Send(&pb.DownloadVolumeResponse{Data: data[:n]}); err != nil {
			return err
		}
		data = data[n:]
		if f.take(&f.unavailable) {
			return connect.NewError(connect.CodeUnavailable, fmt.Errorf("this controller shuts down"))
		}
	}
	sum := sha256.Sum256([]byte("the bytes of " + req.Msg.Volume))
	if req.Msg.Volume == "torn" {
		sum[0]++
	}
	return stream.Send(&pb.DownloadVolumeResponse{Sha256: hex.EncodeToString(sum[:])})
}

func (f *fake) CreatePool(_ context.Context, req *connect.Request[pb.CreatePoolRequest]) (*connect.Response[pb.CreatePoolResponse], error) {
	if req.Msg.Pool.Path == "/etc" {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("path: /etc belongs to the system"))
	}
	return connect.NewResponse(&pb.CreatePoolResponse{}), nil
}

func (f *fake) DeletePool(_ context.Context, req *connect.Request[pb.DeletePoolRequest]) (*connect.Response[pb.DeletePoolResponse], error) {
	if req.Msg.Name == "default" {
		return nil, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("pool default: in use"))
	}
	return connect.NewResponse(&pb.DeletePoolResponse{}), nil
}
