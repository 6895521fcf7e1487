package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/diskimage"
)

const (
	// minVolume is the smallest volume in bytes: one sector.
	minVolume   = 512
	defaultPool = "default"
)

// CreateVolume resolves what is asked for, finds a host and commits the wish.
func (s *storageService) CreateVolume(ctx context.Context, r *connect.Request[novacronv1.CreateVolumeRequest]) (*connect.Response[novacronv1.CreateVolumeResponse], error) {
	spec := &novacronv1.VolumeSettings{}
	if r.Msg.GetSpec() != nil {
		spec = proto.CloneOf(r.Msg.GetSpec())
	}
	if err := vm.CheckImageName("name", spec.GetName()); err != nil {
		return nil, invalid(err)
	}
	spec.Project = cmp.Or(spec.GetProject(), vm.DefaultProject)
	if err := vm.CheckImageName("project", spec.GetProject()); err != nil {
		return nil, invalid(err)
	}
	if err := s.resolveSource(ctx, spec); err != nil {
		return nil, err
	}
	spec.Pool, spec.Format = cmp.Or(spec.GetPool(), defaultPool), cmp.Or(spec.GetFormat(), vm.FormatQcow2)
	if err := checkSettings(spec); err != nil {
		return nil, err
	}
	host, err := s.placeVolume(ctx, spec)
	if err != nil {
		return nil, err
	}
	made, err := s.proposeVolume(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_CreateVolume{CreateVolume: &statev1.CreateVolume{Volume: &novacronv1.Volume{
			Id: s.NewID(), Spec: spec, HostId: host, RequestId: r.Msg.GetRequestId(),
		}}}
	})
	return connect.NewResponse(&novacronv1.CreateVolumeResponse{Volume: made}), err
}

func checkSettings(spec *novacronv1.VolumeSettings) error {
	source := spec.GetSource()
	switch {
	case spec.GetFormat() != vm.FormatQcow2 && spec.GetFormat() != vm.FormatRaw:
		return invalid(fmt.Errorf("format: %.40q: it must be %s or %s", spec.GetFormat(), vm.FormatQcow2, vm.FormatRaw))
	case source.GetLinked() && source.GetVolume() == "":
		return invalid(errors.New("source.linked: only a clone of a volume can be linked: name the volume"))
	case source.GetLinked() && spec.GetFormat() != vm.FormatQcow2:
		return invalid(fmt.Errorf("format: a linked clone is qcow2, not %s: leave the format out, or make a full clone", spec.GetFormat()))
	case source.GetLinked() && spec.GetPool() != source.GetPool():
		return invalid(fmt.Errorf("pool: a linked clone lies in the pool of its source, %s, not in %s: make a full clone", source.GetPool(), spec.GetPool()))
	case source.GetVolume() != "" && !source.GetLinked() && spec.GetFormat() != source.GetFormat():
		return invalid(fmt.Errorf("format: a full clone has the format of its source, %s, not %s: leave it out", source.GetFormat(), spec.GetFormat()))
	}
	return checkVolumeSize(spec.GetSizeBytes())
}

func checkVolumeSize(bytes uint64) error {
	if bytes < minVolume || bytes > diskimage.MaxVirtualSize {
		return invalid(fmt.Errorf("sizeBytes: %d: it must be %d to %d (64 TiB)", bytes, minVolume, int64(diskimage.MaxVirtualSize)))
	}
	return nil
}

// resolveSource finds out what the new volume is made from, and takes size and format from there where they are left out.
func (s *storageService) resolveSource(ctx context.Context, spec *novacronv1.VolumeSettings) error {
	source := spec.GetSource()
	named := slices.DeleteFunc([]string{source.GetImage(), source.GetSha256(), source.GetVolume()}, func(name string) bool { return name == "" })
	switch {
	case len(named) > 1:
		return invalid(errors.New("source: image, sha256 and volume exclude each other: name one of them"))
	case len(named) == 0:
		if !source.GetLinked() {
			spec.Source = nil
		}
		return nil
	case source.GetVolume() != "":
		return s.resolveClone(spec)
	}
	return s.resolveContent(ctx, spec)
}

func (s *storageService) resolveClone(spec *novacronv1.VolumeSettings) error {
	from, err := s.findVolume(spec.GetSource().GetVolume(), spec.GetProject())
	if err != nil {
		return err
	}
	if from.GetSpec().GetProject() != spec.GetProject() {
		return invalid(fmt.Errorf("source.volume: %s belongs to project %s, not to %s", from.GetSpec().GetName(), from.GetSpec().GetProject(), spec.GetProject()))
	}
	size := max(from.GetSpec().GetSizeBytes(), from.GetStatus().GetCapacityBytes())
	if spec.GetSizeBytes() != 0 && spec.GetSizeBytes() < size {
		return invalid(fmt.Errorf("sizeBytes: %d are less than the %d of volume %s: a clone is at least as large as its source",
			spec.GetSizeBytes(), size, from.GetSpec().GetName()))
	}
	spec.Source = &novacronv1.VolumeSource{
		Volume: from.GetId(), Linked: spec.GetSource().GetLinked(), Pool: from.GetSpec().GetPool(), Format: from.GetSpec().GetFormat(),
	}
	spec.SizeBytes, spec.Pool = cmp.Or(spec.GetSizeBytes(), size), cmp.Or(spec.GetPool(), from.GetSpec().GetPool())
	if !spec.GetSource().GetLinked() {
		spec.Format = cmp.Or(spec.GetFormat(), from.GetSpec().GetFormat())
	}
	if spec.GetHost() == "" {
		spec.Host = from.GetHostId()
	}
	if host, ok := s.Store.View().Host(spec.GetHost()); ok && host.GetId() != from.GetHostId() {
		return invalid(fmt.Errorf("host: a clone is made on the host of its source, %s, not on %s: download the volume and upload it there",
			from.GetHostName(), host.GetName()))
	}
	return nil
}

// resolveContent looks at the bytes of an image or an upload.
func (s *storageService) resolveContent(ctx context.Context, spec *novacronv1.VolumeSettings) error {
	source, images := spec.GetSource(), &imageService{s.Server}
	sum := source.GetSha256()
	if name := source.GetImage(); name != "" {
		image, ok := s.Store.View().Image(name)
		if !ok {
			return fmt.Errorf("%w: source.image: %q: see «novacron image list»", state.ErrNotFound, name)
		}
		sum = image.GetSha256()
	}
	if err := images.hold(ctx, sum); err != nil {
		return err
	}
	content, err := images.inspect(&novacronv1.CreateImageRequest{Name: spec.GetName(), Sha256: sum, Format: spec.GetFormat()})
	if err != nil {
		return err
	}
	if spec.GetSizeBytes() != 0 && spec.GetSizeBytes() < content.GetVirtualSizeBytes() {
		return invalid(fmt.Errorf("sizeBytes: %d are less than the disk of %d bytes in the file: ask for at least as much",
			spec.GetSizeBytes(), content.GetVirtualSizeBytes()))
	}
	spec.Source = &novacronv1.VolumeSource{Image: source.GetImage(), Sha256: sum, ContentBytes: content.GetSizeBytes()}
	spec.SizeBytes, spec.Format = cmp.Or(spec.GetSizeBytes(), content.GetVirtualSizeBytes()), content.GetFormat()
	return nil
}

// placeVolume finds the host: the one that is named, or the one with the most free space in the pool. It asks the hosts
// themselves, as their reports do not tell what is free.
func (s *storageService) placeVolume(ctx context.Context, spec *novacronv1.VolumeSettings) (string, error) {
	hosts, err := s.hosts(spec.GetHost())
	if err != nil {
		return "", err
	}
	answers, failures := fanOut(ctx, hosts, s.poolsOf)
	var best *novacronv1.Pool
	withPool, tooSmall := 0, 0
	for _, pool := range slices.Concat(answers...) {
		switch {
		case pool.GetName() != spec.GetPool():
			continue
		case spec.GetSizeBytes() > pool.GetCapacityBytes() || spec.GetSource().GetContentBytes() > pool.GetFreeBytes():
			tooSmall++
		case best == nil || pool.GetFreeBytes() > best.GetFreeBytes():
			best = pool
		}
		withPool++
	}
	if best == nil {
		return "", connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf(
			"no host fits: %d asked, %d do not answer, %d have no pool %q, %d have too little room there for %d bytes: see «novacron pool list»",
			len(hosts), len(failures), len(hosts)-len(failures)-withPool, spec.GetPool(), tooSmall, spec.GetSizeBytes()))
	}
	spec.Host = ""
	return best.GetHostId(), nil
}
