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
	template        string
	values          []string
	stopped, dryRun bool
	generateName    bool
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
  novacron vm create web --generate-name --template linux-server --set image=debian-12
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
	f.register(a, cmd)
	cmd.Flags().BoolVar(&f.stopped, "stopped", false, "create the machine without starting it")
	cmd.Flags().BoolVar(&f.generateName, "generate-name", false, "where the name is taken, take the first of NAME-2, NAME-3, … that is free")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "check and print the definition and create nothing")
	f.wait.register(cmd.Flags())
	f.wait.registerGrace(cmd.Flags())
	return cmd
}

// definition is the file's with the flags over it.
func (a *app) definition(cmd *cobra.Command, f *vmCreateFlags, args []string) (vm.Definition, error) {
	def, err := a.startingPoint(cmd, f)
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

// startingPoint is what the flags go over: a template with its values, a file, or nothing.
func (a *app) startingPoint(cmd *cobra.Command, f *vmCreateFlags) (vm.Definition, error) {
	switch {
	case f.template == "" && len(f.values) > 0:
		return vm.Definition{}, usagef("--set gives values to the parameters of a template: name it with --template")
	case f.template == "":
		return a.readDefinition(f.file)
	case f.file != "":
		return vm.Definition{}, usagef("--template and --file are two starting points: choose one")
	}
	return a.renderTemplate(cmd, f.template, f.values)
}

func (f *vmCreateFlags) register(a *app, cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "definition in a `file` to start from; - reads standard input")
	cmd.Flags().StringVar(&f.template, "template", "", "`template` to start from; see novacron vm template list")
	cmd.Flags().StringArrayVar(&f.values, "set", nil, "`parameter=value` of the template (repeatable)")
	_ = cmd.RegisterFlagCompletionFunc("template", a.completeOnce(a.templateNames)) // the flag is there: it was made above
	f.def.register(cmd.Flags())
	a.completeDefinition(cmd)
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
	return a.writeDefinition(def)
}

// writeDefinition prints a definition as a file of one, in JSON where that is asked for.
func (a *app) writeDefinition(def vm.Definition) error {
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
	req := &pb.CreateVMRequest{Spec: vm.ToProto(def), RequestId: rand.Text(), Stopped: f.stopped, GenerateName: f.generateName}
	answer, err := c.vms.CreateVM(ctx, connect.NewRequest(req))
	if err != nil {
		return err
	}
	a.warn(answer.Msg.GetWarnings())
	return a.settle(ctx, c, []*pb.VM{answer.Msg.GetVm()}, &f.wait)
}
