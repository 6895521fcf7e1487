package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) vmWatch() *cobra.Command {
	return &cobra.Command{
		Use: "watch [VM]", Short: "Follow the changes of virtual machines", Args: cobra.MaximumNArgs(1),
		Long: `Print the state of a virtual machine, or of all, and then every change until interrupted.

  novacron vm watch web-1
  novacron vm watch -o json | jq .vm.status`,
		ValidArgsFunction: a.completeOnce(a.vmNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			req := &pb.WatchVMsRequest{Vm: strings.Join(args, ""), Project: a.project}
			if req.GetVm() != "" {
				if _, err := c.getVM(ctx, req.GetVm(), a.project); err != nil {
					return err
				}
			}
			return stopped(ctx, c.watch(ctx, req, a.eventPrinter(req.GetVm())))
		}),
	}
}

// stopped makes the user's interruption the normal end of a command that has no other.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// eventPrinter prints a line for every message that tells something.
func (a *app) eventPrinter(name string) func(*pb.WatchVMsResponse) error {
	if a.output.value == outCSV {
		return a.rowPrinter()
	}
	return func(msg *pb.WatchVMsResponse) error {
		switch {
		case msg.GetVm() == nil && !msg.GetDeleted():
			return nil
		case !a.forPeople():
			return a.writeEvent(msg)
		}
		_, err := fmt.Fprintf(a.io.Out, "%s  %s\n", a.io.Now().Format(time.TimeOnly), clean(eventText(msg, name)))
		return err
	}
}

func eventText(msg *pb.WatchVMsResponse, name string) string {
	vm := msg.GetVm()
	name = firstOf(vm.GetSpec().GetName(), name)
	if msg.GetDeleted() {
		return name + ": deleted"
	}
	return name + ": " + stateOf(vm)
}

// listAndWatch prints the list as it is and then a row for every change.
func (a *app) listAndWatch(ctx context.Context, c *client, filter *vmFilter) error {
	printEvent := a.rowPrinter()
	if !a.forPeople() && a.output.value != outCSV {
		printEvent = a.eventPrinter("")
	}
	first := map[string]*pb.WatchVMsResponse{}
	synced := false
	err := c.watch(ctx, &pb.WatchVMsRequest{Project: a.project}, func(msg *pb.WatchVMsResponse) error {
		if msg.GetVm() != nil && filter.matches(msg.GetVm()) {
			if synced {
				return printEvent(msg)
			}
			first[msg.GetVm().GetId()] = msg
		}
		if !msg.GetSynced() || synced {
			return nil
		}
		synced = true
		return printSorted(first, printEvent)
	})
	return stopped(ctx, err)
}

func printSorted(first map[string]*pb.WatchVMsResponse, printEvent func(*pb.WatchVMsResponse) error) error {
	msgs := make([]*pb.WatchVMsResponse, 0, len(first))
	for _, msg := range first {
		msgs = append(msgs, msg)
	}
	slices.SortFunc(msgs, func(a, b *pb.WatchVMsResponse) int {
		return strings.Compare(a.GetVm().GetSpec().GetName(), b.GetVm().GetSpec().GetName())
	})
	for _, msg := range msgs {
		if err := printEvent(msg); err != nil {
			return err
		}
	}
	return nil
}

// rowPrinter prints machines as rows of the table. Columns only ever get wider.
func (a *app) rowPrinter() func(*pb.WatchVMsResponse) error {
	t := a.vmTable()
	format := a.output.value
	header := t.header(format)
	w := startWidths(header)
	headed := a.noHeaders
	return func(msg *pb.WatchVMsResponse) error {
		if msg.GetVm() == nil {
			return nil
		}
		rows := [][]string{t.row(format, gone(msg))}
		if !headed {
			rows = append([][]string{header}, rows...)
			headed = true
		}
		return writeRows(a.io.Out, format, rows, w)
	}
}

// gone is the machine of a message, marked when it is the last of it.
func gone(msg *pb.WatchVMsResponse) *pb.VM {
	if msg.GetDeleted() {
		return &pb.VM{Id: msg.GetVm().GetId(), Spec: msg.GetVm().GetSpec(), HostName: msg.GetVm().GetHostName(),
			CreateTime: msg.GetVm().GetCreateTime(), Status: &pb.VMStatus{Message: "deleted"}}
	}
	return msg.GetVm()
}

// startWidths leaves room for what usually stands in a column.
func startWidths(header []string) []int {
	w := widths([][]string{header})
	for i := range w {
		w[i] = max(w[i], 10)
	}
	return w
}

func writeRows(out io.Writer, format string, rows [][]string, w []int) error {
	if format == outCSV {
		return csv.NewWriter(out).WriteAll(rows)
	}
	for i, width := range widths(rows) {
		w[i] = max(w[i], width)
	}
	_, err := io.WriteString(out, align(rows, w))
	return err
}
