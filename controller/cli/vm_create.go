package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
	"github.com/spf13/cobra"
)

type vmCreateFlags struct {
	file            string
	stopped, dryRun bool
	def             *definitionFlags
	wait            waitFlags
}

func (a *app) vmCreate() *cobra.Command {
	f := &vmCreateFlags{def: newDefinitionFlags()}
	cmd := &cobra.Command{
		Use: "create [NAME]", Short: "Create a virtual machine", Args: cobra.MaximumNArgs(1),
		Long: `Create a virtual machine from flags, from a definition in YAML or JSON, or from both: flags go over the file.
Waits until the machine runs.

  novacron vm create web-1 --cpus 2 --memory 2GiB --disk 20GiB --image debian-12 --network default
  novacron vm create -f web-1.yaml --memory 4GiB --dry-run
  novacron vm create tiny --cpus 1 --memory 96MiB --kernel vmlinuz --initrd tiny.cpio --cmdline console=ttyS0`,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		def, err := a.definition(cmd, f, args)
		if err != nil {
			return err
		}
		if f.dryRun {
			return a.printDefinition(def)
		}
		return a.withClient(func(ctx context.Context, c *client, _ []string) error {
			return a.createVM(ctx, c, def, f)
		})(cmd, args)
	}
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "definition in a `file` to start from; - reads standard input")
	cmd.Flags().BoolVar(&f.stopped, "stopped", false, "create the machine without starting it")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "check and print the definition and create nothing")
	f.def.register(cmd.Flags())
	f.wait.register(cmd.Flags())
	f.wait.registerGrace(cmd.Flags())
	a.completeDefinition(cmd)
	return cmd
}

// definition is the file's with the flags over it.
func (a *app) definition(cmd *cobra.Command, f *vmCreateFlags, args []string) (vm.Definition, error) {
	def, err := a.readDefinition(f.file)
	if err != nil {
		return def, err
	}
	if len(args) == 1 {
		def.Name = args[0]
	}
	if def.Name == "" {
		return def, usagef("the machine needs a name: as the argument, or in the file of --file")
	}
	if def.Project == "" || cmd.Flags().Changed("project") {
		def.Project = a.project
	}
	return def, f.def.apply(&def, cmd.Flags())
}

func (a *app) readDefinition(path string) (vm.Definition, error) {
	if path == "" {
		return vm.Definition{}, nil
	}
	data, err := a.readInput(path)
	if err != nil {
		return vm.Definition{}, err
	}
	def, err := vm.ParseYAML(data)
	if err != nil {
		return def, fmt.Errorf("%s: %w", path, err)
	}
	return def, nil
}

func (a *app) readInput(path string) ([]byte, error) {
	in := a.io.In
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	return io.ReadAll(io.LimitReader(in, vm.MaxTextBytes+1)) // one byte more is refused as too long
}

// printDefinition prints YAML where people read it, and what --output says elsewhere. Only what the server would accept
// is printed; the defaults that it would fill in are left to it.
func (a *app) printDefinition(def vm.Definition) error {
	if err := vm.Validate(vm.Normalise(def, vm.Defaults{})); err != nil {
		return err
	}
	if a.output.value == outJSON {
		return a.writeObject(def)
	}
	text, err := vm.Marshal(def)
	if err != nil {
		return err
	}
	_, err = a.io.Out.Write(text)
	return err
}

func (a *app) createVM(ctx context.Context, c *client, def vm.Definition, f *vmCreateFlags) error {
	req := &pb.CreateVMRequest{Spec: vm.ToProto(def), RequestId: rand.Text(), Stopped: f.stopped}
	answer, err := c.vms.CreateVM(ctx, connect.NewRequest(req))
	if err != nil {
		return err
	}
	return a.settle(ctx, c, []*pb.VM{answer.Msg.GetVm()}, &f.wait)
}
