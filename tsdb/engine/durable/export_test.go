package durable

// Syncs counts how often the log was brought into stable storage.
func (s *Store) Syncs() int64 { return s.counters.syncs.Load() }
