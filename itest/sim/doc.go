// Package sim runs the metric shards of up to a thousand hosts in one process, and a controller that asks them. Stores,
// RPC, mutual TLS, fan-out, relays and merging are those of the daemons; the rest of an agent is left out.
package sim
