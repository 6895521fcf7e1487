// Package query measures questions to many shards beside one Prometheus that has all their series.
//
// It holds only a test: `NOVACRON_BENCH=1 go test -v -run TestBenchQuery ./itest/bench/query`.
package query
