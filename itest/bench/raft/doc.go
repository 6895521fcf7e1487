// Package raft measures committed commands per second through cluster/consensus beside a bare Raft loop on the same disk.
//
// It holds only a test: `NOVACRON_BENCH=1 go test -v -run TestBenchRaft ./itest/bench/raft`.
package raft
