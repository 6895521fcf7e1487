package rpc

import (
	"testing"

	"github.com/stretchr/testify/require"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

func TestSearchOfMachines(t *testing.T) {
	record := &novacronv1.VM{HostId: "id-1", HostName: "kvm-1", Spec: &novacronv1.VMSpec{
		Name: "web", Project: "shop", Labels: map[string]string{"tier": "web"}, Annotations: map[string]string{"owner": "ops, on call"},
	}}
	for _, c := range []struct {
		want  *novacronv1.ListVMsRequest
		found bool
	}{
		{&novacronv1.ListVMsRequest{}, true},
		{&novacronv1.ListVMsRequest{Project: "shop", Host: "kvm-1", LabelSelector: "tier in (web,db)", AnnotationSelector: `owner="ops, on call"`}, true},
		{&novacronv1.ListVMsRequest{Project: "other"}, false},
		{&novacronv1.ListVMsRequest{Host: "kvm-2"}, false},
		{&novacronv1.ListVMsRequest{LabelSelector: "!tier"}, false},
		{&novacronv1.ListVMsRequest{AnnotationSelector: "owner~dev"}, false},
		{&novacronv1.ListVMsRequest{LabelSelector: "owner"}, false},
		{&novacronv1.ListVMsRequest{Labels: map[string]string{"tier": "web"}}, true},
		{&novacronv1.ListVMsRequest{Labels: map[string]string{"tier": "db"}, LabelSelector: "tier"}, false},
	} {
		wanted, err := vmSearch(c.want)
		require.NoError(t, err)
		found := wanted(record)
		require.Equal(t, c.found, found, "%v", c.want)
	}
	for _, bad := range []*novacronv1.ListVMsRequest{{LabelSelector: "="}, {AnnotationSelector: "a in (b"}} {
		_, err := vmSearch(bad)
		require.ErrorContains(t, err, "conditions are")
	}
}
