package controller

import (
	"context"
	"errors"
	"net/http"
	"sync"
)

// group runs the parts of the daemon; the first that fails ends the others.
type group struct {
	fail  context.CancelCauseFunc
	parts sync.WaitGroup
}

func newGroup(fail context.CancelCauseFunc) *group { return &group{fail: fail} }

func (g *group) run(part func() error) {
	g.parts.Go(func() {
		if err := part(); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, context.Canceled) {
			g.fail(err)
		}
	})
}

func (g *group) wait() { g.parts.Wait() }
