package durable

// Syncs counts how often the log was brought into stable storage; failures do not count.
func (s *Store) Syncs() int64 { return s.counters.syncs.Load() - s.counters.syncFailures.Load() }

// Image is the path of the file that a closed store keeps its head in.
func (s *Store) Image() string { return s.path(imageName) }
