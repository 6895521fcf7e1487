// Package export holds the test that Prometheus reads the blocks that are exported for it.
package export
