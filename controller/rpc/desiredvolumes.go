package rpc

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// volumeIntent is what a host shall do about a volume: its generation, 0 where it is not the host's.
func volumeIntent(volume *novacronv1.Volume, hostID string) uint64 {
	if volume.GetHostId() != hostID {
		return 0
	}
	return volume.GetGeneration()
}

// reportVolumes commits what is new about volumes.
func (s *desiredService) reportVolumes(ctx context.Context, view state.View, hostID string, seen []*agentv1.VolumeObservation) error {
	news := &statev1.ObserveVolumes{HostId: hostID}
	for _, o := range seen {
		if known, ok := view.Volume(o.GetVolumeId(), ""); ok && known.GetHostId() == hostID && isVolumeNews(known, o) {
			news.Volumes = append(news.Volumes, &statev1.VolumeObservation{VolumeId: o.GetVolumeId(), Status: o.GetStatus(), Gone: o.GetGone()})
		}
	}
	if len(news.GetVolumes()) == 0 {
		return nil
	}
	_, err := s.propose(ctx, func(c *statev1.Command) { c.Op = &statev1.Command_ObserveVolumes{ObserveVolumes: news} })
	return err
}

// isVolumeNews tells whether an observation changes anything: one of an older generation is not heard.
func isVolumeNews(known *novacronv1.Volume, o *agentv1.VolumeObservation) bool {
	if o.GetStatus().GetObservedGeneration() < known.GetStatus().GetObservedGeneration() {
		return false
	}
	seen := proto.CloneOf(o.GetStatus())
	seen.UpdateTime = known.GetStatus().GetUpdateTime()
	if known.GetDeleteTime() != nil {
		seen.State = novacronv1.VolumeState_VOLUME_STATE_DELETING
	}
	if seen.GetPath() == "" {
		seen.Path = known.GetStatus().GetPath()
	}
	return o.GetGone() || !proto.Equal(seen, known.GetStatus())
}
