package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

// volumePoll is how often a volume is looked at while it is waited for.
const volumePoll = 200 * time.Millisecond

// volumeFlags shape a new volume.
type volumeFlags struct {
	size       size
	format     choice
	host, pool string
	image      string
	linked     bool
	wait       waitFlags
}

// parseDiskBytes reads an amount on disk: 512MiB, 20GiB, or plain GiB as all sizes of disks, in bytes.
func parseDiskBytes(text string) (uint64, error) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		text = strconv.FormatUint(n, 10) + "GiB"
	}
	n, err := parseMiB(text)
	return n * mib, err
}

func newVolumeFlags() *volumeFlags {
	return &volumeFlags{size: size{parse: parseDiskBytes, unit: "B"}, format: choice{allowed: []string{"qcow2", "raw"}}}
}

func (a *app) newVolumeFlags(cmd *cobra.Command, f *volumeFlags, place bool) {
	cmd.Flags().Var(&f.size, "size", "size, such as 20GiB; a plain number is GiB")
	if place {
		cmd.Flags().Var(&f.format, "format", "format; qcow2, or that of the file, when left out")
		cmd.Flags().StringVar(&f.host, "host", "", "`host` to keep it; that with the most free space when left out")
		a.completeFlag(cmd, "host", a.hostNames)
	}
	cmd.Flags().StringVar(&f.pool, "pool", "", "storage `pool` (default \"default\", or that of the source)")
	f.wait.register(cmd.Flags())
}

func (a *app) volumeCreate() *cobra.Command {
	f := newVolumeFlags()
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create a volume that belongs to no machine", Args: cobra.ExactArgs(1),
		Long: `Create a volume, empty or with the content of an image. A machine gets it as a disk by its name in the pool, which
` + "`novacron volume show`" + ` tells.

  novacron volume create data --size 20GiB
  novacron volume create root-2 --image debian-12 --host kvm-1`,
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			spec := a.volumeSettings(args[0], f)
			if f.image != "" {
				spec.Source = &pb.VolumeSource{Image: f.image}
			}
			return a.createVolume(ctx, c, spec, &f.wait)
		}),
	}
	a.newVolumeFlags(cmd, f, true)
	cmd.Flags().StringVar(&f.image, "image", "", "`image` to copy the content of")
	a.completeFlag(cmd, "image", a.imageNames)
	return cmd
}

func (a *app) volumeClone() *cobra.Command {
	f := newVolumeFlags()
	cmd := &cobra.Command{
		Use: "clone SOURCE NAME", Short: "Make a volume from another", Args: cobra.ExactArgs(2),
		Long: `Copy a volume on its host. A linked clone copies nothing: it lies on top of its source, which then cannot grow or go.

  novacron volume clone data data-copy
  novacron volume clone golden web-1-data --linked`,
		ValidArgsFunction: a.completeOnce(a.volumeNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			spec := a.volumeSettings(args[1], f)
			spec.Source = &pb.VolumeSource{Volume: args[0], Linked: f.linked}
			return a.createVolume(ctx, c, spec, &f.wait)
		}),
	}
	a.newVolumeFlags(cmd, f, false)
	cmd.Flags().BoolVar(&f.linked, "linked", false, "lie on top of the source instead of copying it")
	return cmd
}

func (a *app) volumeSettings(name string, f *volumeFlags) *pb.VolumeSettings {
	return &pb.VolumeSettings{Name: name, Project: a.project, Host: f.host, Pool: f.pool, SizeBytes: f.size.value, Format: f.format.value}
}

func (a *app) createVolume(ctx context.Context, c *client, spec *pb.VolumeSettings, w *waitFlags) error {
	answer, err := c.storage.CreateVolume(ctx, connect.NewRequest(&pb.CreateVolumeRequest{Spec: spec, RequestId: rand.Text()}))
	if err != nil {
		return err
	}
	return a.settleVolume(ctx, c, answer.Msg.GetVolume(), w)
}

func (a *app) volumeResize() *cobra.Command {
	w := &waitFlags{}
	cmd := &cobra.Command{
		Use: "resize NAME SIZE", Short: "Grow a volume", Args: cobra.ExactArgs(2),
		Long: `Grow a volume that no machine has as a disk. A volume never shrinks: make a smaller one and copy what you need.

  novacron volume resize data 40GiB`,
		ValidArgsFunction: a.completeOnce(a.volumeNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			bytes, err := parseDiskBytes(args[1])
			if err != nil {
				return usageError{err, "usage: " + rootName + " volume resize NAME SIZE"}
			}
			answer, err := c.storage.ResizeVolume(ctx, connect.NewRequest(&pb.ResizeVolumeRequest{Volume: args[0], Project: a.project, SizeBytes: bytes}))
			if err != nil {
				return err
			}
			return a.settleVolume(ctx, c, answer.Msg.GetVolume(), w)
		}),
	}
	w.register(cmd.Flags())
	return cmd
}

func (a *app) volumeDelete() *cobra.Command {
	w := &waitFlags{}
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME...", Short: "Delete volumes with their content", Args: cobra.MinimumNArgs(1),
		Long: `Delete volumes that stand alone. One that a machine has as a disk, or that a linked clone lies on top of, is kept.

  novacron volume delete data --yes`,
		ValidArgsFunction: a.completeMany(a.volumeNames),
		RunE: a.withClient(func(ctx context.Context, c *client, names []string) error {
			if err := a.confirm(yes, "Delete for good "+counted(names, "volume", "volumes")+"?"); err != nil {
				return err
			}
			return a.each(names, func(name string) error {
				answer, err := c.storage.DeleteVolume(ctx, connect.NewRequest(&pb.DeleteVolumeRequest{Volume: name, Project: a.project}))
				if err != nil {
					return err
				}
				return a.settleVolume(ctx, c, answer.Msg.GetVolume(), w)
			})
		}),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	w.register(cmd.Flags())
	return cmd
}

// settleVolume waits until a volume is what was asked for, and tells how that ended.
func (a *app) settleVolume(ctx context.Context, c *client, volume *pb.Volume, w *waitFlags) error {
	if w.no {
		a.tell("%s", volume.GetId())
		return a.printVolume(volume)
	}
	p := a.newProgress()
	defer p.stop()
	waiting, cancel := withLimit(ctx, w.timeout, errWaited)
	defer cancel()
	ticker := time.NewTicker(volumePoll)
	defer ticker.Stop()
	for {
		name, status := volume.GetSpec().GetName(), volume.GetStatus()
		current := status.GetObservedGeneration() >= volume.GetGeneration() && volume.GetDeleteTime() == nil
		switch {
		case current && status.GetState() == pb.VolumeState_VOLUME_STATE_READY:
			a.tell("%s: ready, %s %s on host %s", name, formatBytes(status.GetCapacityBytes()), volume.GetSpec().GetFormat(), volume.GetHostName())
			return a.printVolume(volume)
		case current && status.GetState() == pb.VolumeState_VOLUME_STATE_FAILED:
			return fmt.Errorf("%s: %s", name, status.GetMessage())
		}
		p.set(name + ": " + volumeStateText(volume))
		select {
		case <-waiting.Done():
			return fmt.Errorf("%s: still %s: %w", name, volumeStateText(volume), context.Cause(waiting))
		case <-ticker.C:
		}
		answer, err := c.storage.GetVolume(ctx, connect.NewRequest(&pb.GetVolumeRequest{Volume: volume.GetId(), Project: volume.GetSpec().GetProject()}))
		if connect.CodeOf(err) == connect.CodeNotFound && volume.GetDeleteTime() != nil {
			a.tell("%s: deleted", name)
			return nil
		}
		if err != nil {
			return err
		}
		volume = answer.Msg.GetVolume()
	}
}

func (a *app) printVolume(volume *pb.Volume) error {
	if a.forPeople() {
		return nil
	}
	return show(a, a.volumeTable(), volume, details{})
}

func volumeStateText(v *pb.Volume) string {
	text := word(v.GetStatus().GetState(), "VOLUME_STATE_")
	if v.GetStatus().GetState() == pb.VolumeState_VOLUME_STATE_READY && v.GetStatus().GetObservedGeneration() < v.GetGeneration() {
		text = "growing"
	}
	if message := v.GetStatus().GetMessage(); message != "" {
		text += ", " + message
	}
	return text
}

func (a *app) volumeNames(ctx context.Context) ([]string, error) {
	return liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.Volume, error) { return c.listVolumes(ctx, a.project) },
		func(v *pb.Volume) string { return v.GetSpec().GetName() })
}

func (c *client) listVolumes(ctx context.Context, project string) ([]*pb.Volume, error) {
	return pages(func(token string) ([]*pb.Volume, string, error) {
		answer, err := c.storage.ListVolumes(ctx, connect.NewRequest(&pb.ListVolumesRequest{PageSize: pageSize, PageToken: token, Project: project}))
		if err != nil {
			return nil, "", err
		}
		return answer.Msg.GetVolumes(), answer.Msg.GetNextPageToken(), nil
	})
}

func (a *app) volumeTable() table[*pb.Volume] {
	type volume = *pb.Volume
	return table[volume]{plural: "volumes", columns: []column[volume]{
		{name: "NAME", text: func(v volume) string { return v.GetSpec().GetName() }},
		{name: "STATE", text: func(v volume) string { return word(v.GetStatus().GetState(), "VOLUME_STATE_") }},
		{name: "HOST", text: volume.GetHostName},
		{name: "POOL", text: func(v volume) string { return v.GetSpec().GetPool() }},
		{name: "FORMAT", text: func(v volume) string { return v.GetSpec().GetFormat() }},
		{name: "SIZE", text: func(v volume) string { return formatBytes(v.GetSpec().GetSizeBytes()) },
			raw: func(v volume) string { return fmt.Sprint(v.GetSpec().GetSizeBytes()) }, rawName: "size_bytes"},
		{name: "AGE", text: func(v volume) string { return a.age(v.GetCreateTime()) },
			raw: func(v volume) string { return moment(v.GetCreateTime()) }, rawName: "created"},
		{name: "MESSAGE", where: wideAndCSV, text: func(v volume) string { return v.GetStatus().GetMessage() }},
		{name: "STORED AS", where: wideAndCSV, text: storedAs},
		{name: "ID", where: wideAndCSV, text: volume.GetId},
	}}
}

// storedAs is what a volume is called in its pool.
func storedAs(v *pb.Volume) string { return "nc-vol-" + v.GetId() + "." + v.GetSpec().GetFormat() }

func (a *app) volumeDetails(v *pb.Volume) (d details) {
	spec, source := v.GetSpec(), v.GetSpec().GetSource()
	d.add("Name", spec.GetName())
	d.add("Project", spec.GetProject())
	d.add("ID", v.GetId())
	d.add("State", volumeStateText(v))
	d.add("Host", v.GetHostName())
	d.add("Pool", spec.GetPool())
	d.add("Stored as", storedAs(v))
	d.add("Path", v.GetStatus().GetPath())
	d.add("Format", spec.GetFormat())
	d.add("Size", fmt.Sprintf("%s (%d bytes)", formatBytes(spec.GetSizeBytes()), spec.GetSizeBytes()))
	d.add("Image", source.GetImage())
	d.add("SHA-256", source.GetSha256())
	if source.GetVolume() != "" {
		kind := "full clone of "
		if source.GetLinked() {
			kind = "linked clone of "
		}
		d.add("Source", kind+source.GetVolume())
	}
	d.add("Created", moment(v.GetCreateTime()))
	return d
}
