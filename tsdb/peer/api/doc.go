// Package api holds the HTTP API against Prometheus's own: its handler in this process, and the programs prometheus and
// promtool.
package api
