// Package metric holds what controllers, agents and clients must agree on about metrics: names, definitions of users and sources to collect from.
package metric

import (
	"slices"
	"strings"
)

// Limits of what one series may be, those of the shard.
const (
	MaxLabels     = 40
	MaxLabelBytes = 4096
)

// passThrough are the beginnings of names that a provider's own metrics keep: they are taken without an entry.
var passThrough = []string{"aws_", "azure_", "gcp_"}

// reserved are the beginnings of names that no user may define.
var reserved = append([]string{"vm_", "host_", "collector_"}, passThrough...)

// PassesThrough tells whether a name is that of a provider's own metric.
func PassesThrough(name string) bool { return startsWithOne(name, passThrough) }

// Reserved tells whether a name is kept for the registry.
func Reserved(name string) bool { return startsWithOne(name, reserved) }

func startsWithOne(name string, beginnings []string) bool {
	return slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(name, b) })
}

// IsName tells whether a text can be the name of a metric. Every sample passes here.
func IsName(text string) bool { return isName(text, ':') }

// IsLabel tells whether a text can be the name of a label.
func IsLabel(text string) bool { return isName(text, '_') && !strings.HasPrefix(text, "__") }

// isName tells whether a text is letters, digits, _ and what else is allowed, with no digit in front.
func isName(text string, also byte) bool {
	for i := range len(text) {
		c := text[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == also
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return text != ""
}
