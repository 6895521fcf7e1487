// Package durable is the engine that keeps samples on disk: a log in front, a head in memory for what is young, blocks
// for the rest, and windows of five minutes and of an hour for what is old.
package durable
