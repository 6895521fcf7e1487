// Package memnet is an in-memory network for tests that can lose, delay and cut what travels between its named nodes.
package memnet
