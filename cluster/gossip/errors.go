package gossip

import "errors"

var (
	// ErrConfig is a configuration that cannot work.
	ErrConfig = errors.New("bad gossip configuration")
	// ErrMeta is metadata that is malformed, too long or for another node.
	ErrMeta = errors.New("bad gossip metadata")
	// ErrRejected is a packet or stream that is not encrypted in the one accepted way.
	ErrRejected = errors.New("gossip rejected")
	// ErrClosed is a call after Close.
	ErrClosed = errors.New("gossip is closed")
)
