package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
	"github.com/spf13/cobra"
)

func (a *app) vmTemplate() *cobra.Command {
	return a.group("template", "Keep presets of virtual machines",
		"Templates are definitions with typed parameters: `novacron vm create NAME --template T --set key=value` makes a machine of one.",
		a.templateList(), a.templateShow(), a.templateAdd(), a.templateDelete())
}

func (a *app) templateList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the templates", Args: cobra.NoArgs, Long: "List the templates, those that come with the program included.\n\n  novacron vm template list",
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			answer, err := c.templates.ListTemplates(ctx, connect.NewRequest(&pb.ListTemplatesRequest{}))
			if err != nil {
				return err
			}
			return list(a, templateTable(), answer.Msg.GetTemplates())
		}),
	}
}

func templateTable() table[*pb.Template] {
	return table[*pb.Template]{plural: "templates", columns: []column[*pb.Template]{
		{name: "NAME", text: (*pb.Template).GetName},
		{name: "BUILT IN", text: func(t *pb.Template) string { return yesNo(t.GetBuiltin()) }},
		{name: "PARAMETERS", text: func(t *pb.Template) string {
			names := make([]string, len(t.GetParameters()))
			for i, p := range t.GetParameters() {
				names[i] = p.GetName()
			}
			return strings.Join(names, " ")
		}},
		{name: "DESCRIPTION", text: (*pb.Template).GetDescription},
	}}
}

func (a *app) templateShow() *cobra.Command {
	var secrets bool
	cmd := &cobra.Command{
		Use: "show TEMPLATE", Short: "Show a template", Args: cobra.ExactArgs(1),
		Long: `Show a template with its parameters. What cloud-init hands on to the guest is hidden; --secrets shows it to admins and operators.

  novacron vm template show linux-server
  novacron vm template show mine --secrets -o yaml`,
		ValidArgsFunction: a.completeOnce(a.templateNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			answer, err := c.templates.GetTemplate(ctx, connect.NewRequest(&pb.GetTemplateRequest{Name: args[0], Secrets: secrets}))
			if err != nil {
				return err
			}
			return show(a, templateTable(), answer.Msg.GetTemplate(), templateDetails(answer.Msg.GetTemplate()))
		}),
	}
	cmd.Flags().BoolVar(&secrets, "secrets", false, "show what cloud-init hands on to the guest")
	return cmd
}

func templateDetails(t *pb.Template) details {
	var d details
	d.add("Name", t.GetName())
	d.add("Description", t.GetDescription())
	d.add("Built in", yesNo(t.GetBuiltin()))
	for _, p := range t.GetParameters() {
		d.add(p.GetName(), parameterText(p))
	}
	return d
}

// parameterText is such as «size, "2GiB" when left out, from 1GiB to 64GiB: memory of the machine».
func parameterText(p *pb.TemplateParameter) string {
	text := p.GetType()
	switch {
	case p.Default == nil:
		text += ", needed"
	case p.GetDefault() == "":
		text += ", may be left out"
	default:
		text += fmt.Sprintf(", %q when left out", p.GetDefault())
	}
	if len(p.GetEnum()) > 0 {
		text += ", one of " + strings.Join(p.GetEnum(), " ")
	}
	switch {
	case p.GetMin() != "":
		text += ", from " + p.GetMin()
	case p.GetMax() != "":
		text += ","
	}
	if p.GetMax() != "" {
		text += " to " + p.GetMax()
	}
	if p.GetDescription() != "" {
		text += ": " + p.GetDescription()
	}
	return text
}

func (a *app) templateAdd() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "add -f FILE", Short: "Add a template, or replace yours of its name", Args: cobra.NoArgs,
		Long: `Add a template from YAML: a name, a description, parameters, and a definition in which ${name} stands for a parameter.

  novacron vm template add -f web.yaml`,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client, _ []string) error {
		if file == "" {
			return usageError{errors.New("-f FILE is missing"), "put the template into a file; `novacron vm template show linux-server -o yaml` shows one"}
		}
		text, err := a.readInput(file)
		if err != nil {
			return err
		}
		answer, err := c.templates.PutTemplate(ctx, connect.NewRequest(&pb.PutTemplateRequest{Text: string(text)}))
		if err != nil {
			return err
		}
		if !a.forPeople() {
			return a.writeObject(answer.Msg.GetTemplate())
		}
		_, err = fmt.Fprintf(a.io.Out, "template %s is kept\n", answer.Msg.GetTemplate().GetName())
		return err
	})
	cmd.Flags().StringVarP(&file, "file", "f", "", "template in a `file`; - reads standard input")
	return cmd
}

func (a *app) templateDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete TEMPLATE", Short: "Delete a template", Args: cobra.ExactArgs(1),
		Long:              "Delete a template that was added. Machines made of it stay.\n\n  novacron vm template delete web",
		ValidArgsFunction: a.completeOnce(a.templateNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			if _, err := c.templates.DeleteTemplate(ctx, connect.NewRequest(&pb.DeleteTemplateRequest{Name: args[0]})); err != nil {
				return err
			}
			_, err := fmt.Fprintf(a.io.Out, "template %s is deleted\n", args[0])
			return err
		}),
	}
}

// renderTemplate has the cluster make a definition of a template and values.
func (a *app) renderTemplate(cmd *cobra.Command, name string, values []string) (def vm.Definition, err error) {
	given := map[string]string{}
	for _, value := range values {
		key, text, found := strings.Cut(value, "=")
		if !found || key == "" {
			return def, usagef("--set %q is not parameter=value", value)
		}
		given[key] = text
	}
	err = a.withClient(func(ctx context.Context, c *client, _ []string) error {
		answer, err := c.templates.RenderTemplate(ctx, connect.NewRequest(&pb.RenderTemplateRequest{Name: name, Values: given, Secrets: true}))
		if connect.CodeOf(err) == connect.CodePermissionDenied { // who may create no machine can still see what it would be
			answer, err = c.templates.RenderTemplate(ctx, connect.NewRequest(&pb.RenderTemplateRequest{Name: name, Values: given}))
		}
		if err != nil {
			return err
		}
		def = vm.FromProto(answer.Msg.GetSpec())
		return nil
	})(cmd, nil)
	return def, err
}

func (a *app) templateNames(ctx context.Context) ([]string, error) {
	return liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.Template, error) {
		answer, err := c.templates.ListTemplates(ctx, connect.NewRequest(&pb.ListTemplatesRequest{}))
		if err != nil {
			return nil, err
		}
		return answer.Msg.GetTemplates(), nil
	}, (*pb.Template).GetName)
}
