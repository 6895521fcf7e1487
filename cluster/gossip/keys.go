package gossip

import "fmt"

// A rotation of the key has three steps, each on all nodes before the next begins: InstallKey, UseKey, RemoveKey.

// InstallKey makes messages under a further key readable.
func (g *Gossip) InstallKey(key []byte) error {
	if len(key) != KeyLen {
		return fmt.Errorf("%w: the key has %d bytes, want %d", ErrConfig, len(key), KeyLen)
	}
	return g.keys.AddKey(key)
}

// UseKey encrypts with an installed key from here on.
func (g *Gossip) UseKey(key []byte) error { return g.keys.UseKey(key) }

// RemoveKey refuses messages under a key that is not in use any more.
func (g *Gossip) RemoveKey(key []byte) error { return g.keys.RemoveKey(key) }
