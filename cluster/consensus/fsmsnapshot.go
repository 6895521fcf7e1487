package consensus

import "github.com/hashicorp/raft"

// fsmSnapshot writes a Snapshot in the format of stream.go.
type fsmSnapshot struct {
	Snapshot
	index uint64
}

// Persist writes the snapshot; Raft closes or cancels the sink.
func (s *fsmSnapshot) Persist(sink raft.SnapshotSink) error {
	w, err := newStreamWriter(sink, s.index)
	if err != nil {
		return err
	}
	if err := s.Write(w); err != nil {
		return err
	}
	return w.Close()
}
