package rpc

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// TestEventsOfASpanOfTime holds what a chart asks for: what began in the span, and not what began at its end, with which
// the next span begins.
func TestEventsOfASpanOfTime(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(noon.Add(d)) }
	want := &novacronv1.WatchEventsRequest{SinceTime: at(0), UntilTime: at(time.Hour), Kind: "hypervisor.", Vm: "web"}
	for name, c := range map[string]struct {
		event *novacronv1.Event
		wants bool
	}{
		"in it":           {&novacronv1.Event{Kind: "hypervisor.crashed", VmName: "web", Time: at(time.Minute)}, true},
		"at its start":    {&novacronv1.Event{Kind: "hypervisor.crashed", VmId: "web", Time: at(0)}, true},
		"at its end":      {&novacronv1.Event{Kind: "hypervisor.crashed", VmName: "web", Time: at(time.Hour)}, false},
		"before":          {&novacronv1.Event{Kind: "hypervisor.crashed", VmName: "web", Time: at(-1)}, false},
		"another kind":    {&novacronv1.Event{Kind: "vm.running", VmName: "web", Time: at(time.Minute)}, false},
		"another machine": {&novacronv1.Event{Kind: "hypervisor.crashed", VmName: "db", Time: at(time.Minute)}, false},
	} {
		require.Equal(t, c.wants, wantsEvent(c.event, want), name)
	}
}
