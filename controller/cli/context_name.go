package cli

import (
	"fmt"

	"github.com/novacron/novacron/cluster/pki"
)

// usualContext is the first that a machine has.
const usualContext = "default"

// contextName is --context, else the first name of some, that is free or has the same holder, whose keys are renewed: no
// other keys may be lost, nor a token be spent for nothing where the name turns out to be another's.
func (a *app) contextName(cfg Config, m pki.Material) string {
	names := []string{usualContext}
	if a.context != "" {
		if cfg.mayTake(a.context, m) {
			return a.context
		}
		a.tell("context %q is another's, and stays", a.context)
	}
	if i := cfg.index(usualContext); i >= 0 && cfg.Contexts[i].view(cfg).ClusterID == m.ClusterID {
		names = append(names, string(m.Role))
	}
	cluster := "cluster-" + m.ClusterID[:min(8, len(m.ClusterID))]
	last := cluster + "-" + string(m.Role)
	for _, name := range append(names, cluster, last) {
		if cfg.mayTake(name, m) {
			return name
		}
	}
	for n := 2; ; n++ { // ends, as contexts do
		if name := fmt.Sprintf("%s-%d", last, n); cfg.mayTake(name, m) {
			return name
		}
	}
}

// mayTake tells whether a context of that name can be written without losing what another user, role or cluster has there.
func (c *Config) mayTake(name string, m pki.Material) bool {
	i := c.index(name)
	if i < 0 {
		return true
	}
	there, user := c.Contexts[i].view(*c), NewContext(name, nil, m).view(*c).User
	return there.ClusterID == m.ClusterID && there.Role == string(m.Role) && there.User == user
}
