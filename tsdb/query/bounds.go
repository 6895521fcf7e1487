package query

// Limits are those that bound each query of the engine.
func (e *Engine) Limits() Limits { return e.limits }
