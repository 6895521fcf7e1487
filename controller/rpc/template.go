package rpc

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/template"
)

type templateService struct{ *Server }

var _ novacronv1connect.TemplateServiceHandler = (*templateService)(nil)

// PutTemplate checks a template as any definition is checked, and keeps its text.
func (s *templateService) PutTemplate(ctx context.Context, r *connect.Request[novacronv1.PutTemplateRequest]) (*connect.Response[novacronv1.PutTemplateResponse], error) {
	parsed, err := template.Parse([]byte(r.Msg.GetText()))
	if err == nil && parsed.Hides() {
		err = fmt.Errorf("definition.cloudInit: it holds %q, which stands for text that was not shown: give the text, or take the template from «novacron vm template show %s --secrets -o yaml»", vm.Hidden, parsed.Name)
	}
	if err == nil {
		err = parsed.Check()
	}
	if err != nil {
		return nil, invalid(err)
	}
	presets, err := template.Presets()
	if err != nil {
		return nil, err
	}
	if _, taken := presets[parsed.Name]; taken {
		return nil, fmt.Errorf("%w: name: template %q comes with the program: choose another name", state.ErrExists, parsed.Name)
	}
	value, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_PutTemplate{PutTemplate: &statev1.PutTemplate{Name: parsed.Name, Text: r.Msg.GetText()}}
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.PutTemplateResponse{Template: shown(parsed, value.(*statev1.TemplateRecord))}), nil
}

// shown is a template as the API shows it; record is nil for one that comes with the program.
func shown(t template.Template, record *statev1.TemplateRecord) *novacronv1.Template {
	view := &novacronv1.Template{
		Name: t.Name, Description: t.Description, Text: record.GetText(), Builtin: record == nil, Revision: record.GetRevision(),
	}
	for _, p := range t.Parameters {
		view.Parameters = append(view.Parameters, &novacronv1.TemplateParameter{
			Name: p.Name, Description: p.Description, Type: cmp.Or(p.Type, "string"), Default: p.Default, Enum: p.Enum, Min: p.Min, Max: p.Max,
		})
	}
	return view
}

// find gives a template of the program's or of the users'.
func (s *templateService) find(name string) (template.Template, *statev1.TemplateRecord, error) {
	presets, err := template.Presets()
	if err != nil {
		return template.Template{}, nil, err
	}
	if preset, ok := presets[name]; ok {
		return preset, nil, nil
	}
	record, ok := s.Store.View().Template(name)
	if !ok {
		return template.Template{}, nil, fmt.Errorf("%w: template %q: see «novacron vm template list»", state.ErrNotFound, name)
	}
	parsed, err := template.Parse([]byte(record.GetText()))
	return parsed, record, err
}

func (s *templateService) GetTemplate(_ context.Context, r *connect.Request[novacronv1.GetTemplateRequest]) (*connect.Response[novacronv1.GetTemplateResponse], error) {
	found, record, err := s.find(r.Msg.GetName())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.GetTemplateResponse{Template: shown(found, record)}), nil
}

func (s *templateService) ListTemplates(context.Context, *connect.Request[novacronv1.ListTemplatesRequest]) (*connect.Response[novacronv1.ListTemplatesResponse], error) {
	presets, err := template.Presets()
	if err != nil {
		return nil, err
	}
	answer := &novacronv1.ListTemplatesResponse{}
	for _, preset := range presets {
		answer.Templates = append(answer.Templates, shown(preset, nil))
	}
	for _, record := range s.Store.View().Templates() {
		parsed, err := template.Parse([]byte(record.GetText()))
		if err != nil {
			return nil, err
		}
		answer.Templates = append(answer.Templates, shown(parsed, record))
	}
	slices.SortFunc(answer.GetTemplates(), func(a, b *novacronv1.Template) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return connect.NewResponse(answer), nil
}

func (s *templateService) DeleteTemplate(ctx context.Context, r *connect.Request[novacronv1.DeleteTemplateRequest]) (*connect.Response[novacronv1.DeleteTemplateResponse], error) {
	_, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteTemplate{DeleteTemplate: &statev1.DeleteTemplate{Name: r.Msg.GetName()}}
	})
	return connect.NewResponse(&novacronv1.DeleteTemplateResponse{}), err
}

// RenderTemplate gives the definition that the values make of a template.
func (s *templateService) RenderTemplate(_ context.Context, r *connect.Request[novacronv1.RenderTemplateRequest]) (*connect.Response[novacronv1.RenderTemplateResponse], error) {
	found, _, err := s.find(r.Msg.GetName())
	if err != nil {
		return nil, err
	}
	definition, err := found.Render(r.Msg.GetValues())
	if err != nil {
		return nil, invalid(err)
	}
	return connect.NewResponse(&novacronv1.RenderTemplateResponse{Spec: vm.ToProto(definition)}), nil
}
