// Package peer measures the shard against Prometheus: the conformance of its PromQL, and that both give the same answers.
//
// It is a module of its own, so that what only tests need of Prometheus does not enter the binary's module.
package peer
