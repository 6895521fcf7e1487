package rpc

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

func changed(revision uint64, id string) state.Change {
	return state.Change{Revision: revision, After: &novacronv1.VM{Id: id, Revision: revision, Spec: &novacronv1.VMSpec{Name: id, Project: "default"}}}
}

func TestOnlyTheLastMessageOfARevisionCarriesIt(t *testing.T) {
	changes := []state.Change{changed(5, "a"), changed(7, "a"), changed(7, "b"), changed(7, "c"), {Revision: 8, After: &novacronv1.Member{}}, changed(9, "a")}
	for _, watched := range []string{"", "a", "b"} {
		messages := messagesOf(changes, watchFilter(&novacronv1.WatchVMsRequest{Vm: watched}))
		for i, message := range messages { // whoever comes back after this message gets all those behind it
			for _, later := range messages[i+1:] {
				require.Greater(t, later.GetVm().GetRevision(), message.GetRevision(), "%s after %s", later, message)
			}
		}
	}
	require.Len(t, messagesOf(changes, watchFilter(&novacronv1.WatchVMsRequest{Vm: "b"})), 1)
	gone := messagesOf([]state.Change{{Revision: 3, Before: changed(2, "a").After}}, watchFilter(&novacronv1.WatchVMsRequest{}))
	require.True(t, gone[0].GetDeleted())
}
