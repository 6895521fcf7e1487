package controller

import (
	"context"
	"time"

	"github.com/novacron/novacron/cluster/blob/peer"
	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

const (
	// imageCheck is how often a controller looks for images that it lacks, besides at every change.
	imageCheck = time.Minute
	// uploadPatience is how long bytes may lie without a name.
	uploadPatience = 24 * time.Hour
)

// replicateImages keeps a copy of every image on this controller, so that any of them can serve a host, and drops what no
// image names any more.
func (d *daemon) replicateImages(ctx context.Context) error {
	for ctx.Err() == nil {
		view := d.store.View()
		d.fetchImages(ctx, view)
		d.dropBlobs(ctx)
		wait, cancel := context.WithTimeout(ctx, imageCheck)
		d.awaitImage(wait, view.Cursor())
		cancel()
	}
	return ctx.Err()
}

func (d *daemon) fetchImages(ctx context.Context, view state.View) {
	var addresses []string
	for _, member := range view.Members() {
		addresses = append(addresses, member.GetApiAddress())
	}
	for _, image := range view.Images("") {
		if _, err := d.blobs.Stat(image.GetSha256()); err == nil {
			continue
		}
		if err := d.blobs.Fetch(ctx, image.GetSha256(), int64(image.GetSizeBytes()), peer.Sources(d.peers, addresses, d.cfg.Node.API)); err != nil {
			d.logger.Warn("an image could not be copied here; it is tried again", "image", image.GetName(), "error", err)
		}
	}
}

// dropBlobs deletes what no image names. Fresh uploads wait for their name. A controller that has just started, or that is
// cut off, does not know all names, and deletes nothing.
func (d *daemon) dropBlobs(ctx context.Context) {
	if err := d.rpc.Fresh(ctx); err != nil {
		return // the next round tries again
	}
	named := map[string]bool{}
	for _, image := range d.store.View().Images("") {
		named[image.GetSha256()] = true
	}
	for volume := range d.store.View().Volumes() {
		if source := volume.GetSpec().GetSource().GetSha256(); volume.GetStatus().GetPath() == "" && source != "" {
			named[source] = true
		}
	}
	if err := d.blobs.Sweep(func(hash string) bool { return named[hash] }, uploadPatience); err != nil {
		d.logger.Warn("files that no image names could not be deleted", "error", err)
	}
}

// awaitImage returns when an image changed, or when the context ends.
func (d *daemon) awaitImage(ctx context.Context, cursor state.Cursor) {
	for {
		changes, next, err := d.store.Next(ctx, cursor)
		if err != nil {
			return
		}
		for _, change := range changes {
			if _, ok := change.Record().(*novacronv1.Image); ok {
				return
			}
		}
		cursor = next
	}
}
