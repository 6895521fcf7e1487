package durable

// Syncs counts how often the log was brought into stable storage; failures do not count.
func (s *Store) Syncs() int64 { return s.counters.syncs.Load() - s.counters.syncFailures.Load() }
