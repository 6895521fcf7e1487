package consensus

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// RecoverPeers rewrites the membership of a stopped node after the quorum was lost for good. Run it with the same
// servers on every node that is left, then open them. Entries that were written but never committed become
// committed. sm is used up: open the node with a new one. Listener and Dial of cfg are not needed.
func RecoverPeers(cfg Config, sm StateMachine, servers []Server) error {
	cfg = cfg.withDefaults()
	if err := recoverPeers(cfg, sm, servers); err != nil {
		return fmt.Errorf("recover peers of node %s in %s: %w", cfg.ID, cfg.DataDir, err)
	}
	return nil
}

func recoverPeers(cfg Config, sm StateMachine, servers []Server) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	w := newWatchdog(cfg.StallLimit)
	s, err := openStores(cfg, w, func(error) {})
	if err != nil {
		return err
	}
	defer s.bolt.Close()
	f := &fsm{sm: sm, applied: newAppliedIndex(), watch: w, onHalt: func(error) {}}
	if err := recoverable(s, servers); err != nil {
		return err
	}
	_, trans := raft.NewInmemTransport(raft.ServerAddress(cfg.AdvertiseAddr))
	defer trans.Close()
	if err := raft.RecoverCluster(cfg.raftConfig(w), f, s.logs, s.stable, s.snaps, trans, configuration(servers)); err != nil {
		return err
	}
	return f.halted
}

// recoverable refuses an empty directory and a membership without a voter.
func recoverable(s *stores, servers []Server) error {
	has, err := raft.HasExistingState(s.logs, s.stable, s.snaps)
	if err != nil {
		return err
	}
	if !has {
		return ErrNoState
	}
	for _, m := range servers {
		if m.Voter {
			return nil
		}
	}
	return fmt.Errorf("%w: %d servers named, none votes", ErrLastVoter, len(servers))
}
