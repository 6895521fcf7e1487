package agent

import (
	"slices"
	"sync/atomic"
)

// revocations are the removed nodes that the cluster has told of last.
type revocations struct{ nodes atomic.Pointer[[]string] }

func (r *revocations) set(nodes []string) { r.nodes.Store(&nodes) }

func (r *revocations) has(nodeID string) bool {
	nodes := r.nodes.Load()
	return nodes != nil && slices.Contains(*nodes, nodeID)
}
