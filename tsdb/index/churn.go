package index

import (
	"sync"
	"time"
)

// churnHours is how far back different series are counted: so many whole hours and the one that runs.
const churnHours = 24

// churn counts the different series that came or went in each of the last hours.
type churn struct {
	now   func() time.Time
	mu    sync.Mutex
	hours [churnHours + 1]hour
}

type hour struct {
	start  int64 // hours since 1970
	sketch sketch
}

// seriesHash is what sketches know a series by: the part of its hash that the tables keep too.
func seriesHash(stripe, hash32 uint32) uint64 { return mixed(uint64(hash32)*stripes + uint64(stripe)) }

// saw notes that a series was there in this hour.
func (c *churn) saw(hash uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current().add(seriesHash(uint32(hash%stripes), uint32(hash>>32)))
}

func (c *churn) current() *sketch {
	start := c.now().Unix() / 3600
	h := &c.hours[uint64(start)%uint64(len(c.hours))]
	if h.start != start || h.sketch == nil { // a host that does not know the time yet begins at 1970
		*h = hour{start, newSketch()}
	}
	return &h.sketch
}

// recent is what all sketches that are young enough saw.
func (c *churn) recent() sketch {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := newSketch()
	oldest := c.now().Unix()/3600 - churnHours
	for i := range c.hours {
		if h := &c.hours[i]; h.start >= oldest && h.sketch != nil {
			all.merge(h.sketch)
		}
	}
	return all
}
