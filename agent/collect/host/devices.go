package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/net"

	"github.com/novacron/novacron/agent/collect"
)

// layered are devices whose I/O other disks count already, or that are no disks.
var layered = regexp.MustCompile(`^(loop|ram|zram|dm-|fd|sr|nbd)\d+$`)

// diskFields are those of a line of /proc/diskstats after the name, and what makes a base unit of them.
var diskFields = []struct {
	name   string
	factor float64
}{
	{"host_disk_read_ops_total", 1}, {"host_disk_read_merged_total", 1}, {"host_disk_read_bytes_total", 512}, {"host_disk_read_time_seconds_total", 1e-3},
	{"host_disk_write_ops_total", 1}, {"host_disk_write_merged_total", 1}, {"host_disk_write_bytes_total", 512}, {"host_disk_write_time_seconds_total", 1e-3},
	{"host_disk_queue_depth", 1}, {"host_disk_busy_seconds_total", 1e-3}, {"host_disk_weighted_io_seconds_total", 1e-3},
}

// disks reads /proc/diskstats itself: gopsutil leaves idle disks out and asks udev about every device each time.
func (c *Collector) disks(_ context.Context, b *batch) error {
	text, err := lines(c.cfg.Proc, "diskstats")
	if err != nil {
		return err
	}
	for _, line := range text {
		fields := strings.Fields(line)
		const before = 3 // major, minor, name
		if len(fields) < before+len(diskFields) || layered.MatchString(fields[2]) || c.isPartition(fields[2]) {
			continue
		}
		for i, f := range diskFields {
			v, err := strconv.ParseFloat(fields[before+i], 64)
			if err != nil {
				return fmt.Errorf("diskstats %.120q: %w", line, err)
			}
			b.add(f.name, v*f.factor, "device", fields[2])
		}
	}
	return nil
}

func (c *Collector) isPartition(device string) bool {
	_, err := os.Stat(filepath.Join(c.cfg.Sys, "class/block", device, "partition"))
	return err == nil
}

// ofMachines are the ends of machines' network cards.
var ofMachines = regexp.MustCompile(`^(veth|tap|vnet|macvtap)`)

// network tells the traffic of the host's interfaces.
func (c *Collector) network(ctx context.Context, b *batch) error {
	all, err := net.IOCountersWithContext(ctx, true)
	if err != nil {
		return err
	}
	for _, card := range all {
		if c.isMachines(card.Name) {
			continue
		}
		for _, f := range []struct {
			name  string
			value uint64
		}{
			{"receive_bytes", card.BytesRecv}, {"transmit_bytes", card.BytesSent}, {"receive_packets", card.PacketsRecv}, {"transmit_packets", card.PacketsSent},
			{"receive_errors", card.Errin}, {"transmit_errors", card.Errout}, {"receive_dropped", card.Dropin}, {"transmit_dropped", card.Dropout},
		} {
			b.add("host_network_"+f.name+"_total", float64(f.value), "interface", card.Name)
		}
	}
	return nil
}

func (c *Collector) isMachines(card string) bool {
	_, err := os.Stat(filepath.Join(c.cfg.Sys, "class/net", card, "tun_flags"))
	return err == nil || ofMachines.MatchString(card)
}

const bytesPerMegabit = 125_000

// links tells which interfaces are up, and how fast they are where the driver knows.
func (c *Collector) links(_ context.Context, b *batch) error {
	for _, folder := range named(c.cfg.Sys, "class/net/*") {
		card := filepath.Base(folder)
		state, err := lines(folder, "operstate")
		if err != nil {
			return err
		}
		if len(state) == 0 || c.isMachines(card) {
			continue
		}
		up := 0.0
		if state[0] == "up" {
			up = 1
		}
		b.add("host_network_up", up, "interface", card)
		if speed, ok, err := number(folder, "speed"); err == nil && ok && speed > 0 {
			b.add("host_network_speed_bytes_per_second", speed*bytesPerMegabit, "interface", card)
		}
	}
	return nil
}

// chipName tells chips of one kind apart by the device that they sit on.
func chipName(folder string) string {
	name := filepath.Base(folder)
	if text, err := lines(folder, "name"); err == nil && len(text) > 0 {
		name = text[0]
	}
	if device, err := os.Readlink(filepath.Join(folder, "device")); err == nil {
		name += "_" + filepath.Base(device)
	}
	return collect.Snake(name)
}

// sensorName is what the chip calls a sensor, else its number.
func sensorName(path string) string {
	if text, err := lines(path + "_label"); err == nil && len(text) > 0 && collect.Snake(text[0]) != "" {
		return collect.Snake(text[0])
	}
	return filepath.Base(path)
}
