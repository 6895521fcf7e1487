package rpc

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

// TestEveryAnswerIsLookedThrough: secrets are looked for in the fields of an answer itself. An answer that has them deeper down
// fails here, until somebody teaches hideSecrets.
func TestEveryAnswerIsLookedThrough(t *testing.T) {
	answers := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("novacron.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				answers++
				fields := methods.Get(j).Output().Fields()
				for k := range fields.Len() {
					if field := fields.Get(k); !mayHoldSecrets(field) && field.Message() != nil {
						require.False(t, leadsToSecrets(field.Message(), map[protoreflect.FullName]bool{}), "%s: %s", methods.Get(j).FullName(), field.FullName())
					}
				}
			}
		}
		return true
	})
	require.Greater(t, answers, 40)
}

func leadsToSecrets(message protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[message.FullName()] {
		return false
	}
	seen[message.FullName()] = true
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		if mayHoldSecrets(field) || field.Message() != nil && leadsToSecrets(field.Message(), seen) {
			return true
		}
	}
	return false
}

func TestRecordsOfTheStateAreNotChanged(t *testing.T) {
	record := &novacronv1.VM{Id: "1", Spec: &novacronv1.VMSpec{Name: "web", CloudInit: &novacronv1.CloudInit{UserData: "s3cr3t", MetaData: map[string]string{"a": "s3cr3t"}}}}
	plain := &novacronv1.VM{Id: "2", Spec: &novacronv1.VMSpec{Name: "plain", CloudInit: &novacronv1.CloudInit{Hostname: "plain"}}}
	before := proto.CloneOf(record)
	answer := &novacronv1.ListVMsResponse{Vms: []*novacronv1.VM{record, plain}}
	hideSecrets(answer)
	require.NotContains(t, prototext.Format(answer), "s3cr3t")
	require.Equal(t, vm.Hidden, answer.GetVms()[0].GetSpec().GetCloudInit().GetMetaData()["a"])
	require.True(t, proto.Equal(before, record))
	require.Same(t, plain, answer.GetVms()[1], "what has no secrets is not copied")
}
