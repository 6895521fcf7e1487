package cli

import (
	"context"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) volumeCommand() *cobra.Command {
	return a.group("volume", "Manage what lies in the storage pools", "Volumes are the files and devices in the storage pools of the hosts: disks of machines, images under them, and volumes that stand alone.",
		a.volumeCreate(), a.volumeList(), a.volumeShow(), a.volumeClone(), a.volumeResize(), a.volumeDelete(),
		a.volumeUpload(), a.volumeDownload(), a.volumeOrphans())
}

type volumePlace struct{ host, pool string }

func (a *app) placeFlags(cmd *cobra.Command, p *volumePlace) {
	a.hostFlag(cmd, &p.host)
	cmd.Flags().StringVar(&p.pool, "pool", "", "only in this `pool`")
}

func (a *app) volumeList() *cobra.Command {
	p := &volumePlace{}
	var alone bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the volumes in the pools", Args: cobra.NoArgs,
		Long: `List what lies in the pools of all hosts, or of one, as it is now, with whom it belongs to. A volume of owner
"foreign" is nothing of this cluster and is never touched. With --alone, list the volumes that stand alone as the cluster
has them, with their states, also those that are not made yet.

  novacron volume list --host kvm-1 -o wide
  novacron volume list --alone`,
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			if alone {
				return a.listAlone(ctx, c, p)
			}
			volumes, err := a.stored(ctx, c, p)
			if err != nil {
				return err
			}
			return list(a, a.storedTable(), volumes)
		}),
	}
	a.placeFlags(cmd, p)
	cmd.Flags().BoolVar(&alone, "alone", false, "only the cluster's volumes that stand alone")
	return cmd
}

func (a *app) listAlone(ctx context.Context, c *client, p *volumePlace) error {
	volumes, err := c.listVolumes(ctx, a.project)
	if err != nil {
		return err
	}
	var wanted []*pb.Volume
	for _, volume := range volumes {
		here := p.host == "" || p.host == volume.GetHostName() || p.host == volume.GetHostId()
		if here && (p.pool == "" || p.pool == volume.GetSpec().GetPool()) {
			wanted = append(wanted, volume)
		}
	}
	return list(a, a.volumeTable(), wanted)
}

func (a *app) volumeShow() *cobra.Command {
	p := &volumePlace{}
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show a volume", Args: cobra.ExactArgs(1),
		Long: `Show a volume: one that stands alone by its name or id, any other by its name in the pool.

  novacron volume show data
  novacron volume show nc-base-….raw --host kvm-1`,
		ValidArgsFunction: a.completeOnce(a.volumeNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			alone, err := c.storage.GetVolume(ctx, connect.NewRequest(&pb.GetVolumeRequest{Volume: args[0], Project: a.project}))
			if err == nil {
				return show(a, a.volumeTable(), alone.Msg.GetVolume(), a.volumeDetails(alone.Msg.GetVolume()))
			}
			if connect.CodeOf(err) != connect.CodeNotFound {
				return err
			}
			volumes, err := a.stored(ctx, c, p)
			if err != nil {
				return err
			}
			found := storedNamed(volumes, args[0])
			switch len(found) {
			case 0:
				return fmt.Errorf("no host that answered has a volume %q: see `novacron volume list`", args[0])
			case 1:
				return show(a, a.storedTable(), found[0], storedDetails(found[0]))
			}
			return list(a, a.storedTable(), found)
		}),
	}
	a.placeFlags(cmd, p)
	return cmd
}

func storedNamed(volumes []*pb.StoredVolume, name string) (found []*pb.StoredVolume) {
	for _, volume := range volumes {
		if volume.GetName() == name {
			found = append(found, volume)
		}
	}
	return found
}

func (a *app) volumeOrphans() *cobra.Command {
	p := &volumePlace{}
	var remove, yes bool
	cmd := &cobra.Command{
		Use: "orphans", Short: "List volumes that belong to nothing, and remove them on request", Args: cobra.NoArgs,
		Long: `List the volumes that are named like this cluster's and belong to no virtual machine and to no volume that the cluster
or the host knows, and base images that nothing uses. With --remove each is looked at again, by the cluster and on its
host, and removed if it still belongs to nothing. Volumes of others are never listed here. Where two clusters share a
pool, the volumes of the other one look like orphans once it has no domain for them on the host: look before removing.

  novacron volume orphans --host kvm-1
  novacron volume orphans --remove`,
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			volumes, err := a.stored(ctx, c, p)
			if err != nil {
				return err
			}
			orphans := orphansOf(volumes)
			if !remove || len(orphans) == 0 {
				return list(a, a.storedTable(), orphans)
			}
			return a.removeOrphans(ctx, c, orphans, yes)
		}),
	}
	a.placeFlags(cmd, p)
	cmd.Flags().BoolVar(&remove, "remove", false, "remove them")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func orphansOf(volumes []*pb.StoredVolume) (orphans []*pb.StoredVolume) {
	for _, volume := range volumes {
		if volume.GetOwner() == pb.VolumeOwner_VOLUME_OWNER_ORPHAN {
			orphans = append(orphans, volume)
		}
	}
	return orphans
}

func (a *app) removeOrphans(ctx context.Context, c *client, orphans []*pb.StoredVolume, yes bool) error {
	byPlace, places := map[string]*pb.StoredVolume{}, []string{}
	for _, orphan := range orphans {
		place := strings.Join([]string{orphan.GetHostName(), orphan.GetPool(), orphan.GetName()}, "/")
		byPlace[place] = orphan
		places = append(places, place)
	}
	if err := a.confirm(yes, "Remove for good "+counted(places, "volume", "volumes")+"?"); err != nil {
		return err
	}
	return a.each(places, func(place string) error {
		orphan := byPlace[place]
		_, err := c.storage.RemoveOrphan(ctx, connect.NewRequest(&pb.RemoveOrphanRequest{
			Host: orphan.GetHostId(), Pool: orphan.GetPool(), Name: orphan.GetName(),
		}))
		if err == nil {
			a.tell("%s: removed", place)
		}
		return err
	})
}

// stored asks the hosts for what lies in their pools.
func (a *app) stored(ctx context.Context, c *client, p *volumePlace) (volumes []*pb.StoredVolume, err error) {
	stream, err := c.storage.ListStoredVolumes(ctx, connect.NewRequest(&pb.ListStoredVolumesRequest{Host: p.host, Pool: p.pool}))
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	for stream.Receive() {
		volumes = append(volumes, stream.Msg().GetVolumes()...)
		if err := a.missing(p.host, stream.Msg().GetFailures()); err != nil {
			return nil, err
		}
	}
	return volumes, stream.Err()
}

func (a *app) storedTable() table[*pb.StoredVolume] {
	type stored = *pb.StoredVolume
	size := func(name, raw string, of func(stored) uint64) column[stored] {
		return column[stored]{name: name, rawName: raw, text: func(v stored) string { return formatBytes(of(v)) },
			raw: func(v stored) string { return fmt.Sprint(of(v)) }}
	}
	return table[stored]{plural: "volumes", columns: []column[stored]{
		{name: "NAME", text: stored.GetName},
		{name: "HOST", text: stored.GetHostName},
		{name: "POOL", text: stored.GetPool},
		{name: "FORMAT", text: stored.GetFormat},
		size("SIZE", "size_bytes", stored.GetCapacityBytes),
		size("STORED", "stored_bytes", stored.GetAllocationBytes),
		{name: "OWNER", text: ownerText},
		{name: "OVERLAYS", where: wideAndCSV, text: func(v stored) string { return fmt.Sprint(v.GetOverlays()) }},
		{name: "USED BY", where: wideAndCSV, text: func(v stored) string { return strings.Join(v.GetUsedBy(), " ") }},
		{name: "BACKING", where: wideAndCSV, text: stored.GetBackingPath},
		{name: "PATH", where: wideAndCSV, text: stored.GetPath},
	}}
}

// ownerText is "vm web-1" or "orphan".
func ownerText(v *pb.StoredVolume) string {
	kind := word(v.GetOwner(), "VOLUME_OWNER_")
	if v.GetOwner() == pb.VolumeOwner_VOLUME_OWNER_ORPHAN || v.GetOwner() == pb.VolumeOwner_VOLUME_OWNER_FOREIGN {
		return kind
	}
	name := v.GetOwnerName()
	if name == "" {
		name = v.GetOwnerId()
	}
	return strings.TrimSpace(kind + " " + name)
}

func storedDetails(v *pb.StoredVolume) (d details) {
	d.add("Name", v.GetName())
	d.add("Host", v.GetHostName())
	d.add("Pool", v.GetPool())
	d.add("Path", v.GetPath())
	d.add("Format", v.GetFormat())
	d.add("Size", fmt.Sprintf("%s (%d bytes)", formatBytes(v.GetCapacityBytes()), v.GetCapacityBytes()))
	d.add("Stored", fmt.Sprintf("%s (%d bytes)", formatBytes(v.GetAllocationBytes()), v.GetAllocationBytes()))
	d.add("Owner", ownerText(v))
	d.add("Owner id", v.GetOwnerId())
	d.add("Project", v.GetOwnerProject())
	d.add("Backing", v.GetBackingPath())
	d.add("Overlays", fmt.Sprint(v.GetOverlays()))
	d.add("Used by", strings.Join(v.GetUsedBy(), ", "))
	return d
}
