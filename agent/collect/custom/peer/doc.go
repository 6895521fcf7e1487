// Package peer tests how custom metrics are taken against Prometheus's own libraries: what they write and serve is what arrives.
//
// It is a module of its own, so that what only tests need of Prometheus does not enter the binary's module.
package peer
