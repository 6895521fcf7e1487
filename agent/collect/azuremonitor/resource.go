package azuremonitor

import (
	"strings"
	"time"

	"github.com/novacron/novacron/agent/collect"
)

// resource is something that has metrics.
type resource struct {
	// id is the whole resource id in lower case.
	id           string
	subscription string
	// region is as in endpoints: lower case without blanks.
	region string
	// labels are those of all its series.
	labels map[string]string
	// alive says that it exists and, for a machine, runs: an absent amount is then none.
	alive bool
	// gone is when it was first missed; its last periods may still come. Zero while it exists.
	gone time.Time
	// since is when it was created: nothing is asked for of before. Zero where that is not known.
	since time.Time
	// luns are those of a machine's data disks, temp says that it has a temporary disk.
	luns []string
	temp bool
}

// place is where it can be asked for together with others.
func (r *resource) place() string { return r.subscription + "/" + r.region }

func (r *resource) exists() bool { return r.gone.IsZero() }

// regionName is a location as endpoints have it: «West Europe» is westeurope.
func regionName(location string) string {
	return strings.ToLower(strings.ReplaceAll(location, " ", ""))
}

// groupOf is the resource group in a resource id, in lower case; empty where there is none.
func groupOf(id string) string {
	parts := strings.Split(collect.AzureID(id), "/")
	for i, part := range parts {
		if part == "resourcegroups" && i+1 < len(parts) {
			return parts[i+1]
		}
	}
	return ""
}

// lastOf is the last part of a resource id.
func lastOf(id string) string {
	return id[strings.LastIndexByte(id, '/')+1:]
}

func with(labels map[string]string, more ...string) map[string]string {
	next := make(map[string]string, len(labels)+len(more)/2)
	for name, value := range labels {
		next[name] = value
	}
	for i := 0; i+1 < len(more); i += 2 {
		if more[i] != "" && more[i+1] != "" {
			next[more[i]] = more[i+1]
		}
	}
	return next
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
