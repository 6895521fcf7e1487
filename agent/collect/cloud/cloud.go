// Package cloud is what the collectors of all cloud providers share: the pace at which an account's API is called, the
// budget of what is charged for, a cached inventory, and the book that turns what a provider answers into metrics.
package cloud

import "github.com/novacron/novacron/agent/collect"

// Stores gives the place for each of a collector's states, by name; the same name is always the same place.
type Stores func(name string) collect.StateStore
