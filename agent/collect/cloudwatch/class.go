package cloudwatch

import (
	"time"

	"github.com/novacron/novacron/agent/collect"
)

// class is how native metrics come: how often, and when they are final.
type class string

const (
	classBasic    class = "basic"
	classDetailed class = "detailed"
	classStatus   class = "status"
	classCredits  class = "credits"
	classVolume   class = "volume"
	classAgent    class = "agent"
	// classRaw are metrics without a canonical name.
	classRaw class = "raw"
)

var timings = map[class]collect.Timing{
	classBasic: collect.AWSBasic, classDetailed: collect.AWSDetailed, classStatus: collect.AWSStatus, classCredits: collect.AWSCredits,
	classVolume: collect.AWSBasic, classAgent: collect.AWSDetailed, classRaw: collect.AWSBasic,
}

// of is the class of a row's metrics for a machine: detailed monitoring publishes each minute what is else published
// every five.
func (c class) of(m machine) class {
	if c == classBasic && m.Detailed {
		return classDetailed
	}
	return c
}

// unnoticed is how long a metric can have been there before it is first asked for: what appears is seen at the next
// list, and CloudWatch lists a new metric up to 15 minutes late.
func (c class) unnoticed() time.Duration {
	if c == classAgent || c == classRaw {
		return 30 * time.Minute
	}
	return 5*time.Minute + timings[c].Delay
}
