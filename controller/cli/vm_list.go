package cli

import (
	"context"
	"strings"

	"connectrpc.com/connect"

	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm/selector"
	"github.com/spf13/cobra"
)

func (a *app) vmList() *cobra.Command {
	var search vmSearch
	var watch bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the virtual machines", Args: cobra.NoArgs,
		Long: `List the virtual machines of the project, and with --watch every change from then on. Labels and notes are searched by
conditions with commas between, all of which must hold:

  key           it is there              !key             it is not
  key=value     it has that value        key!=value       it has another, or none
  key~text      its value holds that     key in (a,b)     it has one of these
                                         key notin (a,b)  it has none of these

A value with a comma in it stands in double quotes.

  novacron vm list -l tier=web --host kvm-1 -o wide
  novacron vm list -l 'tier in (web,db),!old' --annotation 'owner~ops'`,
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			filter, err := search.filter()
			if err != nil {
				return usageError{err, ""}
			}
			if watch {
				return a.listAndWatch(ctx, c, filter)
			}
			vms, err := c.listVMs(ctx, search.request(a.project))
			if err != nil {
				return err
			}
			if len(vms) == 0 && search.host != "" { // a host that is not there has no machines, either
				if _, err := c.hosts.GetHost(ctx, connect.NewRequest(&pb.GetHostRequest{Host: search.host})); err != nil {
					return err
				}
			}
			return list(a, a.vmTable(), vms)
		}),
	}
	cmd.Flags().StringArrayVarP(&search.labels, "label", "l", nil, "only machines whose labels meet the `conditions` (repeatable)")
	cmd.Flags().StringArrayVar(&search.annotations, "annotation", nil, "only machines whose notes meet the `conditions` (repeatable)")
	cmd.Flags().StringVar(&search.host, "host", "", "only machines of this `host`, by name or id")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on with every change")
	a.completeFlag(cmd, "host", a.hostNames)
	return cmd
}

// vmSearch is what a list asks for.
type vmSearch struct {
	labels, annotations []string
	host                string
}

func (s *vmSearch) request(project string) *pb.ListVMsRequest {
	return &pb.ListVMsRequest{
		Project: project, Host: s.host, LabelSelector: strings.Join(s.labels, ","), AnnotationSelector: strings.Join(s.annotations, ","),
	}
}

// filter is the search as this side does it, where the cluster does not.
func (s *vmSearch) filter() (*vmFilter, error) { return newFilter(s.request("")) }

// vmFilter is what a watch cannot ask the cluster for.
type vmFilter struct {
	labels, annotations selector.Selector
	host                string
}

func newFilter(r *pb.ListVMsRequest) (*vmFilter, error) {
	labels, err := selector.Parse(r.GetLabelSelector())
	if err != nil {
		return nil, err
	}
	annotations, err := selector.Parse(r.GetAnnotationSelector())
	return &vmFilter{labels: labels, annotations: annotations, host: r.GetHost()}, err
}

func (f *vmFilter) matches(vm *pb.VM) bool {
	return f.labels.Matches(vm.GetSpec().GetLabels()) && f.annotations.Matches(vm.GetSpec().GetAnnotations()) &&
		(f.host == "" || f.host == vm.GetHostName() || f.host == vm.GetHostId())
}
