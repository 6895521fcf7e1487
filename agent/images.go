package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/reconcile"
	"github.com/novacron/novacron/cluster/blob/peer"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// blobPatience is how long a fetched image stays on this host without a machine that uses it.
const blobPatience = time.Hour

// imageSource resolves the images that a machine was bound to, by content: a name that means something else by now does
// not matter.
type imageSource struct {
	*daemon
	refs []*novacronv1.ImageRef
}

var _ hypervisor.ImageSource = imageSource{}

// Image gives the file, fetching it first where this host lacks it.
func (s imageSource) Image(ctx context.Context, name string) (hypervisor.ImageFile, error) {
	for _, ref := range s.refs {
		if ref.GetName() == name {
			return s.file(ctx, ref)
		}
	}
	return hypervisor.ImageFile{}, fmt.Errorf("image %q is not among those that the machine was created with", name)
}

func (s imageSource) file(ctx context.Context, ref *novacronv1.ImageRef) (hypervisor.ImageFile, error) {
	if _, err := s.blobs.Stat(ref.GetSha256()); err != nil {
		sources := peer.Sources(s.peers, s.link.blobSources(), s.cfg.Node.API)
		if err := s.blobs.Fetch(ctx, ref.GetSha256(), int64(ref.GetSizeBytes()), sources); err != nil {
			return hypervisor.ImageFile{}, fmt.Errorf("%w: image %q: %w", reconcile.ErrFetch, ref.GetName(), err)
		}
	}
	path, err := s.blobs.Path(ref.GetSha256())
	return hypervisor.ImageFile{Path: path, SHA256: ref.GetSha256(), Format: ref.GetFormat()}, err
}

// takeDesired hands a desired set on, machines first, and drops images that it has no use for.
func (d *daemon) takeDesired(revision uint64, set *agentv1.DesiredSet) {
	d.revoked.set(set.GetRevokedNodes())
	d.machines.SetCPUBaseline(set.GetCpuBaseline())
	d.networks.setDesired(revision, set)
	d.volumes.SetDesired(revision, set.GetVolumes()) // first: machines name them
	d.reconciler.SetDesired(revision, set.GetVms())
	d.limits.want(revision, set.GetMetrics().GetLimits())
	d.jobs.Desired(revision, set.GetMetrics())
	d.forwards.Desired(revision, set.GetMetricForwards())
	used := map[string]bool{}
	for _, vm := range set.GetVms() {
		for _, ref := range vm.GetImages() {
			used[ref.GetSha256()] = true
		}
	}
	for _, volume := range set.GetVolumes() {
		if volume.GetStatus().GetPath() == "" { // its content is needed once
			used[volume.GetSpec().GetSource().GetSha256()] = true
		}
	}
	if err := d.blobs.Sweep(func(hash string) bool { return used[hash] }, blobPatience); err != nil {
		d.logger.Warn("unused images could not be deleted", "error", err)
	}
}
