package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

const pageSize = 500

func (a *app) hostCommand() *cobra.Command {
	return a.group("host", "Look after the hypervisors", "Hosts are the machines that run `novacron agent` and on which virtual machines run.",
		a.hostList(), a.hostShow(), a.hostForeign(), a.hostDrain(), a.hostUndrain())
}

func (a *app) hostList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the hosts", Args: cobra.NoArgs,
		Long: "List the hosts with what their machines take of what they have.\n\n  novacron host list -o wide",
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			hosts, err := c.listHosts(ctx)
			if err != nil {
				return err
			}
			return list(a, a.hostTable(), hosts)
		}),
	}
}

func (a *app) hostShow() *cobra.Command {
	return &cobra.Command{
		Use: "show HOST", Short: "Show a host", Args: cobra.ExactArgs(1),
		Long:              "Show a host, by name or id: its state, its room and what it offers to machines.\n\n  novacron host show kvm-1 -o yaml",
		ValidArgsFunction: a.completeOnce(a.hostNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			answer, err := c.hosts.GetHost(ctx, connect.NewRequest(&pb.GetHostRequest{Host: args[0]}))
			if err != nil {
				return err
			}
			host := answer.Msg.GetHost()
			return show(a, a.hostTable(), host, a.hostDetails(host))
		}),
	}
}

func (c *client) listHosts(ctx context.Context) ([]*pb.Host, error) {
	return pages(func(token string) ([]*pb.Host, string, error) {
		answer, err := c.hosts.ListHosts(ctx, connect.NewRequest(&pb.ListHostsRequest{PageSize: pageSize, PageToken: token}))
		if err != nil {
			return nil, "", err
		}
		return answer.Msg.GetHosts(), answer.Msg.GetNextPageToken(), nil
	})
}

// pages collects a list that comes page by page.
func pages[T any](get func(token string) (items []T, next string, err error)) ([]T, error) {
	var all []T
	for token := ""; ; {
		items, next, err := get(token)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if next == "" {
			return all, nil
		}
		token = next
	}
}

func (a *app) hostTable() table[*pb.Host] {
	type host = *pb.Host
	num := func(n uint32) string { return fmt.Sprint(n) }
	return table[host]{plural: "hosts", columns: []column[host]{
		{name: "NAME", text: func(h host) string { return h.GetName() }},
		{name: "STATE", text: hostStateText},
		{name: "VMS", text: func(h host) string { return num(h.GetVms()) }},
		{name: "CPUS", text: func(h host) string {
			return num(h.GetAllocated().GetCpus()) + "/" + num(h.GetInfo().GetCapacity().GetCpus())
		},
			where: peopleOnly},
		{name: "MEMORY", text: func(h host) string {
			return formatBytes(h.GetAllocated().GetMemoryMb()*mib) + "/" + formatBytes(h.GetInfo().GetCapacity().GetMemoryMb()*mib)
		}, where: peopleOnly},
		{name: "DISK", text: func(h host) string {
			return formatBytes(h.GetAllocated().GetDiskGb()*gib) + "/" + formatBytes(h.GetInfo().GetCapacity().GetDiskGb()*gib)
		}, where: peopleOnly},
		{name: "cpus_allocated", text: func(h host) string { return num(h.GetAllocated().GetCpus()) }, where: csvOnly},
		{name: "cpus", text: func(h host) string { return num(h.GetInfo().GetCapacity().GetCpus()) }, where: csvOnly},
		{name: "memory_allocated_mib", text: func(h host) string { return fmt.Sprint(h.GetAllocated().GetMemoryMb()) }, where: csvOnly},
		{name: "memory_mib", text: func(h host) string { return fmt.Sprint(h.GetInfo().GetCapacity().GetMemoryMb()) }, where: csvOnly},
		{name: "disk_allocated_gib", text: func(h host) string { return fmt.Sprint(h.GetAllocated().GetDiskGb()) }, where: csvOnly},
		{name: "disk_gib", text: func(h host) string { return fmt.Sprint(h.GetInfo().GetCapacity().GetDiskGb()) }, where: csvOnly},
		{name: "ACCELERATOR", where: wideAndCSV, text: func(h host) string { return h.GetInfo().GetAccelerator() }},
		{name: "ARCH", where: wideAndCSV, text: func(h host) string { return h.GetInfo().GetArch() }},
		{name: "VERSION", where: wideAndCSV, text: func(h host) string { return h.GetInfo().GetVersion() }},
		{name: "ADDRESS", where: wideAndCSV, text: func(h host) string { return h.GetInfo().GetApiAddress() }},
		{name: "LABELS", where: wideAndCSV, text: func(h host) string { return joinPairs(h.GetInfo().GetLabels()) }},
		{name: "CHANGED", text: func(h host) string { return a.age(h.GetLastChangeTime()) },
			raw: func(h host) string { return moment(h.GetLastChangeTime()) }},
		{name: "ID", where: wideAndCSV, text: func(h host) string { return h.GetId() }},
	}}
}

// machinesText names the families of machine types; of their versions there are too many to read.
func machinesText(types []string) string {
	families := slices.DeleteFunc(slices.Clone(types), func(t string) bool { return strings.ContainsAny(t, "0123456789") && t != "q35" && t != "440fx" })
	if len(families) == 0 || len(families) == len(types) {
		return strings.Join(types, ", ")
	}
	return fmt.Sprintf("%s; with their versions %d types, which -o yaml lists", strings.Join(families, ", "), len(types))
}

func (a *app) hostDetails(h *pb.Host) (d details) {
	info := h.GetInfo()
	d.add("Name", h.GetName())
	d.add("ID", h.GetId())
	d.add("State", fmt.Sprintf("%s (for %s)", hostStateText(h), a.age(h.GetLastChangeTime())))
	d.add("Address", info.GetApiAddress())
	d.add("Version", info.GetVersion())
	d.add("Labels", joinPairs(info.GetLabels()))
	d.section("Room")
	used, all := h.GetAllocated(), info.GetCapacity()
	d.sub("VMs", fmt.Sprint(h.GetVms()))
	d.sub("CPUs", fmt.Sprintf("%d of %d", used.GetCpus(), all.GetCpus()))
	d.sub("Memory", fmt.Sprintf("%s of %s", formatBytes(used.GetMemoryMb()*mib), formatBytes(all.GetMemoryMb()*mib)))
	d.sub("Disk", fmt.Sprintf("%s of %s", formatBytes(used.GetDiskGb()*gib), formatBytes(all.GetDiskGb()*gib)))
	d.section("Hypervisor")
	d.sub("Driver", info.GetDriver())
	d.sub("Accelerator", info.GetAccelerator())
	d.sub("QEMU", info.GetHypervisorVersion())
	d.sub("libvirt", info.GetLibvirtVersion())
	d.sub("Arch", info.GetArch())
	d.sub("CPU model", info.GetCpuModel())
	if n := len(info.GetCpuModels()); n > 0 {
		d.sub("Guest CPUs", fmt.Sprintf("%d models", n))
	}
	d.sub("CPU baseline", h.GetCpuBaseline())
	d.section("Offers")
	d.sub("Pools", strings.Join(info.GetPools(), ", "))
	d.sub("Networks", strings.Join(info.GetNetworks(), ", "))
	d.sub("Bridges", strings.Join(info.GetBridges(), ", "))
	d.sub("Firmware", strings.Join(info.GetFirmwares(), ", "))
	d.sub("Machines", machinesText(info.GetMachineTypes()))
	if len(info.GetNetworkFaults()) > 0 {
		d.section("Faults")
	}
	for _, what := range slices.Sorted(maps.Keys(info.GetNetworkFaults())) {
		d.sub(what, info.GetNetworkFaults()[what])
	}
	return d
}
