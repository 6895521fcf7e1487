package rpc

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

// nameTries is how often a name is chosen anew because somebody else took it meanwhile.
const nameTries = 16

// createNamed creates a machine under the first free name that begins with the one asked for.
func (s *vmService) createNamed(ctx context.Context, r *novacronv1.CreateVMRequest) (*connect.Response[novacronv1.CreateVMResponse], error) {
	base, project := r.GetSpec().GetName(), r.GetSpec().GetProject()
	if base == "" {
		return nil, invalid(errors.New("name: empty; a name is generated from one: give that"))
	}
	if project == "" {
		project = vm.DefaultProject
	}
	for range nameTries {
		view := s.Store.View()
		name := vm.NextName(base, func(name string) bool { return nameTaken(view, name, project) })
		next := proto.CloneOf(r)
		next.GenerateName, next.Spec.Name = false, name
		answer, err := s.CreateVM(ctx, connect.NewRequest(next))
		if !errors.Is(err, state.ErrExists) || !nameTaken(s.Store.View(), name, project) {
			return answer, err
		}
	}
	return nil, fmt.Errorf("%w: name: every name after %q that was free was taken by somebody else %d times: try again", state.ErrStale, base, nameTries)
}

func nameTaken(view state.View, name, project string) bool {
	_, taken := view.VM(name, project)
	return taken
}
