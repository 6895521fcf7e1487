package rpc

import (
	"context"
	"fmt"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/novacron/novacron/cluster/pki"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/template"
)

// secretKeeper hides what cloud-init hands on to guests in every answer of the public API, but where a caller asks for it who
// may have it. It sees all answers, so that no handler can forget.
type secretKeeper struct{ *Server }

// asksForSecrets is a request that can.
type asksForSecrets interface{ GetSecrets() bool }

func (k secretKeeper) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if asking, can := request.Any().(asksForSecrets); can && asking.GetSecrets() {
			if err := k.admit(ctx, request); err != nil {
				return nil, err
			}
			return next(ctx, request)
		}
		response, err := next(ctx, request)
		if err != nil {
			return response, err
		}
		if message, ok := response.Any().(proto.Message); ok {
			hideSecrets(message)
		}
		return response, nil
	}
}

// admit tells of every time that somebody asks.
func (k secretKeeper) admit(ctx context.Context, request connect.AnyRequest) error {
	caller := callerOf(ctx)
	if !slices.Contains([]pki.Role{pki.RoleAdmin, pki.RoleOperator}, caller.Role) {
		return connect.NewError(connect.CodePermissionDenied, fmt.Errorf(
			"secrets: role %s may not see what cloud-init hands on to guests: leave out --secrets, or use a certificate of an admin or operator", caller.Role))
	}
	k.Logger.Info("secrets shown", "audit", true, "procedure", request.Spec().Procedure, "caller", caller.String(), "remote", caller.Remote, "of", nameOf(request))
	return nil
}

// nameOf is what a request is about.
func nameOf(request connect.AnyRequest) string {
	switch r := request.Any().(type) {
	case *novacronv1.GetVMRequest:
		return r.GetVm()
	case interface{ GetName() string }:
		return r.GetName()
	}
	return ""
}

func (k secretKeeper) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (k secretKeeper) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return next(ctx, discreetConn{conn})
	}
}

// discreetConn hides the secrets in what is sent.
type discreetConn struct{ connect.StreamingHandlerConn }

func (c discreetConn) Send(message any) error {
	if m, ok := message.(proto.Message); ok {
		hideSecrets(m)
	}
	return c.StreamingHandlerConn.Send(message)
}

// hideSecrets replaces machines, definitions and templates in an answer by such without secrets. Records are shared with the
// state: those in the answer are exchanged, never changed.
func hideSecrets(answer proto.Message) {
	m := answer.ProtoReflect()
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case !mayHoldSecrets(field):
		case field.IsList():
			list := value.List()
			for i := range list.Len() {
				list.Set(i, protoreflect.ValueOf(discreet(list.Get(i).Message().Interface()).ProtoReflect()))
			}
		default:
			m.Set(field, protoreflect.ValueOf(discreet(value.Message().Interface()).ProtoReflect()))
		}
		return true
	})
}

func mayHoldSecrets(field protoreflect.FieldDescriptor) bool {
	return field.Message() != nil && slices.Contains([]protoreflect.FullName{"novacron.v1.VM", "novacron.v1.VMSpec", "novacron.v1.Template"}, field.Message().FullName())
}

// discreet is a message without secrets: itself where it has none, else a copy.
func discreet(message proto.Message) proto.Message {
	switch m := message.(type) {
	case *novacronv1.VMSpec:
		return vm.HideSecrets(m)
	case *novacronv1.VM:
		if spec := vm.HideSecrets(m.GetSpec()); spec != m.GetSpec() {
			m = proto.CloneOf(m)
			m.Spec = spec
		}
		return m
	case *novacronv1.Template:
		m = proto.CloneOf(m)
		m.Text = template.HideSecrets(m.GetText())
		return m
	}
	return message
}
