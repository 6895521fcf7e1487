package cli

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// controllersHeader is where the cluster tells the API addresses of all its controllers.
const controllersHeader = "Novacron-Controllers"

// learner remembers what the cluster says of its controllers.
type learner struct{ told atomic.Pointer[[]string] }

func (l *learner) hear(header http.Header) {
	if text := header.Get(controllersHeader); text != "" {
		addresses := strings.Split(text, ",")
		l.told.Store(&addresses)
	}
}

// learned is nil until the cluster has told.
func (l *learner) learned() []string {
	if told := l.told.Load(); told != nil {
		return *told
	}
	return nil
}

// remember keeps the controllers that the cluster told of in the context, so that the client outlives those that it was
// told of first. It is a convenience: a file that cannot be written fails nothing.
func (a *app) remember(c *client) {
	told := c.endpoints.learned()
	if len(told) == 0 || len(a.endpoints) > 0 || slices.Equal(told, c.endpoints.endpoints) {
		return
	}
	path, cfg, err := a.loadConfig()
	if err != nil {
		return
	}
	ctx, err := a.chooseContext(path, cfg)
	if err != nil {
		return
	}
	ctx.Endpoints = told
	cfg.put(ctx)
	_ = saveConfig(path, cfg)
}
