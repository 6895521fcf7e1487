package rpc

import (
	"github.com/novacron/novacron/controller/state"
	"github.com/novacron/novacron/vm"
)

// freshTries bounds how often an identity is drawn again. The last draw is taken as it is: the state refuses it if it must.
const freshTries = 16

// defaults chooses identities that nobody in the cluster has yet. Of random MAC addresses there are 2^24, so among ten
// thousand cards one in a thousand draws meets another's.
func (s *Server) defaults(view state.View) vm.Defaults {
	return vm.Defaults{
		NewUUID: func() string {
			return fresh(s.NewID, func(id string) bool { _, taken := view.VM(id, ""); return taken })
		},
		NewMAC: func() string {
			return fresh(s.NewMAC, func(mac string) bool { _, taken := view.VMWithMAC(mac); return taken })
		},
	}
}

// fresh draws until nobody has what is drawn.
func fresh(draw func() string, taken func(string) bool) string {
	drawn := draw()
	for tries := 1; taken(drawn) && tries < freshTries; tries++ {
		drawn = draw()
	}
	return drawn
}
