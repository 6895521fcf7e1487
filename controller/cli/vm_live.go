package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) vmPause() *cobra.Command {
	return a.powerCommand("pause VM...", "Stop the CPUs of virtual machines",
		"Stop the CPUs of running machines and keep their memory, until they are resumed.\n\n  novacron vm pause web-1", pb.PowerState_POWER_STATE_PAUSED)
}

func (a *app) vmResume() *cobra.Command {
	return a.powerCommand("resume VM...", "Let paused virtual machines go on",
		"Let paused machines go on where they were.\n\n  novacron vm resume web-1", pb.PowerState_POWER_STATE_RUNNING)
}

func (a *app) powerCommand(use, short, long string, power pb.PowerState) *cobra.Command {
	var w waitFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeMany(a.vmNames),
		RunE: a.withClient(func(ctx context.Context, c *client, names []string) error {
			return a.change(ctx, c, names, &w, func(name string) (*pb.VM, error) {
				return c.setPower(ctx, &pb.SetVMPowerRequest{Vm: name, Project: a.project, Power: power})
			})
		}),
	}
	w.register(cmd.Flags())
	return cmd
}

func (a *app) vmReboot() *cobra.Command {
	return a.restartCommand("reboot VM...", "Ask guests to restart",
		"Ask the guests of running machines to restart: through the guest agent where it answers, else by ACPI.\n\n  novacron vm reboot web-1", false)
}

func (a *app) vmReset() *cobra.Command {
	return a.restartCommand("reset VM...", "Restart guests without asking them",
		"Restart the guests of running machines at once, like the reset button. What they did not write to disk is lost.\n\n  novacron vm reset web-1", true)
}

func (a *app) restartCommand(use, short, long string, hard bool) *cobra.Command {
	var w waitFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeMany(a.vmNames),
		RunE: a.withClient(func(ctx context.Context, c *client, names []string) error {
			return a.change(ctx, c, names, &w, func(name string) (*pb.VM, error) {
				answer, err := c.vms.RestartVM(ctx, connect.NewRequest(&pb.RestartVMRequest{Vm: name, Project: a.project, Force: hard}))
				if err != nil {
					return nil, err
				}
				return answer.Msg.GetVm(), nil
			})
		}),
	}
	w.register(cmd.Flags())
	return cmd
}

func (a *app) vmGuest() *cobra.Command {
	return &cobra.Command{
		Use: "guest VM", Short: "Ask the agent in a guest", Args: cobra.ExactArgs(1),
		Long:              "Ask the guest agent of a running machine for the guest's name, system and addresses.\n\n  novacron vm guest web-1 -o json",
		ValidArgsFunction: a.completeOnce(a.vmNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			answer, err := c.vms.GetGuest(ctx, connect.NewRequest(&pb.GetGuestRequest{Vm: args[0], Project: a.project}))
			if err != nil {
				return err
			}
			return show(a, guestTable(), answer.Msg, guestDetails(answer.Msg))
		}),
	}
}

func guestTable() table[*pb.GetGuestResponse] {
	return table[*pb.GetGuestResponse]{plural: "guests", columns: []column[*pb.GetGuestResponse]{
		{name: "AGENT", text: func(g *pb.GetGuestResponse) string { return yesNo(g.GetAgentConnected()) }},
		{name: "HOSTNAME", text: (*pb.GetGuestResponse).GetHostname},
		{name: "SYSTEM", text: (*pb.GetGuestResponse).GetOs},
		{name: "KERNEL", text: (*pb.GetGuestResponse).GetKernel},
		{name: "ADDRESSES", text: addressesOf},
	}}
}

func addressesOf(g *pb.GetGuestResponse) string {
	var all []string
	for _, card := range g.GetInterfaces() {
		all = append(all, card.GetAddresses()...)
	}
	return strings.Join(all, " ")
}

func guestDetails(g *pb.GetGuestResponse) details {
	var d details
	d.add("Agent", yesNo(g.GetAgentConnected()))
	d.add("Hostname", g.GetHostname())
	d.add("System", g.GetOs())
	d.add("Kernel", g.GetKernel())
	for _, card := range g.GetInterfaces() {
		d.add(card.GetName(), strings.TrimSpace(card.GetMac()+"  "+strings.Join(card.GetAddresses(), " ")))
	}
	return d
}

func (a *app) vmScreenshot() *cobra.Command {
	return &cobra.Command{
		Use: "screenshot VM FILE", Short: "Save the picture on a machine's screen", Args: cobra.ExactArgs(2),
		Long:              "Save the picture on the screen of a running machine that has one; - writes to standard output.\n\n  novacron vm screenshot web-1 web-1.png",
		ValidArgsFunction: a.completeOnce(a.vmNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			picture, mime, err := c.screenshot(ctx, &pb.ScreenshotRequest{Vm: args[0], Project: a.project})
			if err != nil {
				return err
			}
			if args[1] == "-" {
				_, err = a.io.Out.Write(picture)
				return err
			}
			if err := os.WriteFile(args[1], picture, 0o600); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.io.Out, "%s: %s, %s\n", args[1], mime, formatBytes(uint64(len(picture))))
			return err
		}),
	}
}

func (c *client) screenshot(ctx context.Context, req *pb.ScreenshotRequest) ([]byte, string, error) {
	stream, err := c.vms.Screenshot(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, "", err
	}
	defer stream.Close()
	var picture bytes.Buffer
	var mime string
	for stream.Receive() {
		picture.Write(stream.Msg().GetData())
		mime = firstOf(stream.Msg().GetMimeType(), mime)
	}
	return picture.Bytes(), mime, stream.Err()
}
