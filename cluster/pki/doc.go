// Package pki is the cluster's identity: its certificate authority, join tokens, mutual TLS with rotation, and the gossip key.
package pki
