package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	vmdef "github.com/novacron/novacron/vm"
	"github.com/spf13/cobra"
)

func (a *app) vmCommand() *cobra.Command {
	return a.group("vm", "Run virtual machines", `Virtual machines are asked for and then watched until they are what was asked.

  novacron vm create web-1 --cpus 2 --memory 2GiB --disk 20GiB --image debian-12 --network default
  novacron vm console web-1`,
		a.vmCreate(), a.vmApply(), a.vmPlan(), a.vmList(), a.vmShow(), a.vmStart(), a.vmStop(), a.vmDelete(), a.vmConsole(), a.vmWatch(),
		a.vmPause(), a.vmResume(), a.vmReboot(), a.vmReset(), a.vmRename(), a.vmLabel(), a.vmAnnotate(), a.vmAdopt(), a.vmISO(), a.vmTemplate(), a.vmGuest(), a.vmScreenshot())
}

func (a *app) vmShow() *cobra.Command {
	var secrets, definition bool
	cmd := &cobra.Command{
		Use: "show VM", Short: "Show a virtual machine", Args: cobra.ExactArgs(1),
		Long: `Show a virtual machine, by name or id: what was asked for, where it runs, how it is and, where it failed, the way out.

What cloud-init hands on to the guest is hidden; --secrets shows it to admins and operators, with -o yaml or json.

  novacron vm show web-1
  novacron vm show web-1 --definition > web-1.yaml
  novacron vm show web-1 --secrets -o yaml`,
		ValidArgsFunction: a.completeOnce(a.vmNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			answer, err := c.vms.GetVM(ctx, connect.NewRequest(&pb.GetVMRequest{Vm: args[0], Project: a.project, Secrets: secrets}))
			if err != nil {
				return err
			}
			vm := answer.Msg.GetVm()
			if definition {
				return a.writeDefinition(vmdef.FromProto(vm.GetSpec()))
			}
			return show(a, a.vmTable(), vm, a.vmDetails(vm))
		}),
	}
	cmd.Flags().BoolVar(&definition, "definition", false, "print the definition alone, as vm apply and vm create take it")
	cmd.Flags().BoolVar(&secrets, "secrets", false, "show what cloud-init hands on to the guest")
	return cmd
}

func (c *client) getVM(ctx context.Context, name, project string) (*pb.VM, error) {
	answer, err := c.vms.GetVM(ctx, connect.NewRequest(&pb.GetVMRequest{Vm: name, Project: project}))
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetVm(), nil
}

func (c *client) listVMs(ctx context.Context, req *pb.ListVMsRequest) ([]*pb.VM, error) {
	req.PageSize = pageSize
	return pages(func(token string) ([]*pb.VM, string, error) {
		req.PageToken = token
		answer, err := c.vms.ListVMs(ctx, connect.NewRequest(req))
		if err != nil {
			return nil, "", err
		}
		return answer.Msg.GetVms(), answer.Msg.GetNextPageToken(), nil
	})
}

func (a *app) vmTable() table[*pb.VM] {
	type vm = *pb.VM
	return table[vm]{plural: "virtual machines", columns: []column[vm]{
		{name: "NAME", text: func(v vm) string { return v.GetSpec().GetName() }},
		{name: "STATE", text: phaseOf},
		{name: "HOST", text: func(v vm) string { return v.GetHostName() }},
		{name: "CPUS", text: func(v vm) string { return fmt.Sprint(v.GetSpec().GetCpus()) }},
		{name: "MEMORY", text: func(v vm) string { return formatMiB(uint64(v.GetSpec().GetMemoryMb())) },
			raw: func(v vm) string { return fmt.Sprint(v.GetSpec().GetMemoryMb()) }, rawName: "memory_mib"},
		{name: "DISK", where: wideAndCSV, text: func(v vm) string { return formatGiB(uint64(v.GetSpec().GetDiskGb())) },
			raw: func(v vm) string { return fmt.Sprint(v.GetSpec().GetDiskGb()) }, rawName: "disk_gib"},
		{name: "IMAGE", where: wideAndCSV, text: func(v vm) string { return v.GetSpec().GetImage() }},
		{name: "AGE", text: func(v vm) string { return a.age(v.GetCreateTime()) },
			raw: func(v vm) string { return moment(v.GetCreateTime()) }, rawName: "created"},
		{name: "ADDRESSES", where: wideAndCSV, text: guestAddresses},
		{name: "PROJECT", where: wideAndCSV, text: func(v vm) string { return v.GetSpec().GetProject() }},
		{name: "LABELS", where: wideAndCSV, text: func(v vm) string { return joinPairs(v.GetSpec().GetLabels()) }},
		{name: "ID", where: wideAndCSV, text: func(v vm) string { return v.GetId() }},
		{name: "MESSAGE", where: wideAndCSV, text: func(v vm) string { return firstOf(v.GetStatus().GetMessage(), v.GetStatus().GetStep()) }},
	}}
}

// guestAddresses are those that the guest says it has.
func guestAddresses(v *pb.VM) string {
	var all []string
	for _, card := range v.GetStatus().GetGuest().GetInterfaces() {
		all = append(all, card.GetAddresses()...)
	}
	return strings.Join(all, " ")
}

// phaseOf is the machine's phase as people read it.
func phaseOf(v *pb.VM) string { return word(v.GetStatus().GetPhase(), "VM_PHASE_") }

// firstOf is the first text that says something, on one line.
func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return strings.ReplaceAll(text, "\n", "; ")
		}
	}
	return ""
}

func (a *app) vmDetails(v *pb.VM) (d details) {
	d.add("Name", v.GetSpec().GetName())
	d.add("ID", v.GetId())
	d.add("Project", v.GetSpec().GetProject())
	d.add("State", phaseOf(v))
	d.add("Wanted", word(v.GetDesiredPower(), "POWER_STATE_"))
	d.add("Host", v.GetHostName())
	d.add("Message", v.GetStatus().GetMessage())
	d.add("Step", v.GetStatus().GetStep())
	if t := v.GetCreateTime(); t != nil {
		d.add("Created", fmt.Sprintf("%s (%s ago)", t.AsTime().UTC().Format(time.RFC3339), a.age(t)))
	}
	if v.GetDeleteTime() != nil {
		d.add("Deletion asked", a.age(v.GetDeleteTime())+" ago")
	}
	d.addGuest(v.GetStatus().GetGuest())
	d.addSpec(v.GetSpec())
	d.addPlacement(v)
	a.addOperation(&d, v.GetOperation())
	d.add("Way out", vmWayOut(v))
	return d
}

// addGuest is what the guest says of itself.
func (d *details) addGuest(g *pb.GuestInfo) {
	d.section("Guest")
	d.sub("Hostname", g.GetHostname())
	d.sub("System", g.GetOs())
	d.sub("Kernel", g.GetKernel())
	for _, card := range g.GetInterfaces() {
		d.sub(card.GetName(), strings.TrimSpace(card.GetMac()+"  "+strings.Join(card.GetAddresses(), " ")))
	}
}

func (d *details) addSpec(s *pb.VMSpec) {
	d.section("Spec")
	d.sub("CPUs", fmt.Sprint(s.GetCpus()))
	d.sub("Memory", formatMiB(uint64(s.GetMemoryMb())))
	if s.GetDiskGb() > 0 {
		d.sub("Disk", listed(formatGiB(uint64(s.GetDiskGb())), from("image", s.GetImage()), from("pool", s.GetPool())))
	}
	for _, v := range s.GetVolumes() {
		if v.GetDevice() == vmdef.DeviceCDROM || v.GetDevice() == vmdef.DeviceFloppy {
			medium := listed(from("image", v.GetImage()), from("volume", v.GetSource()))
			d.sub("Drive "+v.GetName(), listed(v.GetDevice(), v.GetBus(), firstOf(medium, "empty")))
			continue
		}
		d.sub("Volume "+v.GetName(), listed(formatGiB(uint64(v.GetSizeGb())), v.GetFormat(), v.GetBus(), from("image", v.GetImage()), from("pool", v.GetPool())))
	}
	for i, n := range s.GetNetworkInterfaces() {
		d.sub(fmt.Sprintf("NIC %d", i), listed(from("network", n.GetNetwork()), from("bridge", n.GetBridge()), n.GetModel(), n.GetMac()))
	}
	d.sub("ISO", s.GetIso())
	d.sub("Kernel", s.GetBoot().GetKernel())
	d.sub("Initrd", s.GetBoot().GetInitrd())
	d.sub("Command line", s.GetBoot().GetCmdline())
	d.sub("System", listed(s.GetOsType(), s.GetOsVersion(), s.GetArch(), s.GetMachine(), s.GetFirmware()))
	d.addCloudInit(s.GetCloudInit())
	d.sub("Labels", joinPairs(s.GetLabels()))
	d.sub("Annotations", joinPairs(s.GetAnnotations()))
}

// addCloudInit shows the seed as far as the cluster does.
func (d *details) addCloudInit(c *pb.CloudInit) {
	d.sub("Hostname", c.GetHostname())
	d.sub("SSH keys", strings.Join(c.GetSshKeys(), "\n"))
	d.sub("User data", c.GetUserData())
	d.sub("Network config", c.GetNetworkConfig())
	d.sub("Meta data", joinPairs(c.GetMetaData()))
}

func (d *details) addPlacement(v *pb.VM) {
	d.section("Placement")
	d.sub("Only host", v.GetSpec().GetPlacement().GetHost())
	d.sub("Host labels", joinPairs(v.GetSpec().GetPlacement().GetHostLabels()))
	d.sub("Owner", listed(v.GetHostName(), from("id", v.GetHostId())))
	if own := v.GetHostCpus().GetOwn(); len(own) > 0 {
		d.sub("Own CPUs", strings.Trim(fmt.Sprint(own), "[]"))
	}
	if v.GetEpoch() > 0 {
		d.sub("Epoch", fmt.Sprint(v.GetEpoch()))
	}
	d.sub("Generation", fmt.Sprintf("%d, seen by the host: %d", v.GetGeneration(), v.GetStatus().GetObservedGeneration()))
}

func (a *app) addOperation(d *details, op *pb.Operation) {
	if op == nil {
		return
	}
	d.section("Operation")
	d.sub("ID", op.GetId())
	d.sub("Kind", op.GetKind())
	d.sub("State", word(op.GetState(), "OPERATION_STATE_"))
	d.sub("Message", op.GetMessage())
	if op.GetCreateTime() != nil {
		d.sub("Asked", a.age(op.GetCreateTime())+" ago")
	}
}

// vmWayOut says what a user can do next, besides what the message says.
func vmWayOut(v *pb.VM) string {
	name := v.GetSpec().GetName()
	switch v.GetStatus().GetPhase() {
	case pb.VMPhase_VM_PHASE_FAILED:
		return fmt.Sprintf("mend what the message names, then `novacron vm start %s`, or give up with `novacron vm delete %s`", name, name)
	case pb.VMPhase_VM_PHASE_PENDING:
		return fmt.Sprintf("it is placed as soon as a host fits; see `novacron host list -o wide`, or give up with `novacron vm delete %s`", name)
	case pb.VMPhase_VM_PHASE_UNKNOWN:
		return fmt.Sprintf("see `novacron host show %s`; the machine may well run", v.GetHostName())
	}
	return ""
}

// from writes "label value", and nothing for no value.
func from(label, value string) string {
	if value == "" {
		return ""
	}
	return label + " " + value
}

// listed joins what is not empty.
func listed(parts ...string) string {
	var kept []string
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ", ")
}
