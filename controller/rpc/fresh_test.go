package rpc

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func TestIdentitiesThatAreTakenAreDrawnAgain(t *testing.T) {
	store := state.New()
	encoded, err := proto.Marshal(&statev1.Command{Version: state.Version, Op: &statev1.Command_CreateVm{CreateVm: &statev1.CreateVM{
		Id: "id-1", Spec: &novacronv1.VMSpec{Name: "web", NetworkInterfaces: []*novacronv1.NetworkInterfaceSpec{{Mac: "mac-1"}}},
	}}})
	require.NoError(t, err)
	require.NoError(t, store.Apply(1, encoded).Err)
	draws := func(kind string, limit int) (draw func() string, count *int) {
		count = new(int)
		return func() string { *count++; return fmt.Sprint(kind, "-", min(*count, limit)) }, count
	}
	id, _ := draws("id", 9)
	mac, _ := draws("mac", 9)
	defaults := (&Server{NewID: id, NewMAC: mac}).defaults(store.View())
	require.Equal(t, "id-2", defaults.NewUUID())
	require.Equal(t, "mac-2", defaults.NewMAC())

	stuck, count := draws("mac", 1)
	require.Equal(t, "mac-1", (&Server{NewMAC: stuck}).defaults(store.View()).NewMAC(), "left to the state to refuse")
	require.Equal(t, freshTries, *count)
}
