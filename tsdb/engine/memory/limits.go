package memory

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/index"
)

// Limit changes Options.Series: it bounds what new series may be made from now on.
func (e *Engine) Limit(limits index.Limits) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.index.Limit(limits)
	}
}

// Known finds the series with these labels, and does not make it.
func (e *Engine) Known(lset labels.Labels) (engine.Ref, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return 0, false
	}
	id, known := e.index.Lookup(lset)
	if !known {
		return 0, false
	}
	return e.ref(id), true
}

// Live is the number of series that new ones are counted with.
func (e *Engine) Live() int {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return 0
	}
	return e.index.Len()
}

// Having is how many of them have a label with this value.
func (e *Engine) Having(name, value string) int {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return 0
	}
	return e.index.Having(name, value)
}
