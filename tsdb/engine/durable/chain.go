package durable

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// chain walks over several iterators in order of time. Of samples of the same time the first iterator's stays.
type chain struct {
	parts   []link
	current int
	begun   bool
}

// link is an iterator and what it stands at.
type link struct {
	it   chunkenc.Iterator
	kind chunkenc.ValueType
}

var _ chunkenc.Iterator = (*chain)(nil)

// timestamp is a time in milliseconds. Under this name Seek is not taken for that of files.
type timestamp = int64

func (c *chain) reset(its ...chunkenc.Iterator) {
	c.parts, c.begun = c.parts[:0], false
	for _, it := range its {
		c.parts = append(c.parts, link{it: it})
	}
}

// Next goes to the next sample.
func (c *chain) Next() chunkenc.ValueType {
	if !c.begun {
		c.begun = true
		for i := range c.parts {
			c.parts[i].kind = c.parts[i].it.Next()
		}
		return c.lowest()
	}
	if c.current < 0 {
		return chunkenc.ValNone
	}
	t := c.AtT()
	for i := range c.parts {
		if p := &c.parts[i]; p.kind != chunkenc.ValNone && p.it.AtT() <= t {
			p.kind = p.it.Next()
		}
	}
	return c.lowest()
}

// Seek goes to the first sample at t or after it, and stays where it is when that is such a sample.
func (c *chain) Seek(t timestamp) chunkenc.ValueType {
	if c.begun && c.current >= 0 && c.AtT() >= t {
		return c.parts[c.current].kind
	}
	for i := range c.parts {
		if p := &c.parts[i]; !c.begun || p.kind != chunkenc.ValNone {
			p.kind = p.it.Seek(t)
		}
	}
	c.begun = true
	return c.lowest()
}

// lowest makes the part with the earliest sample the current one.
func (c *chain) lowest() chunkenc.ValueType {
	c.current = -1
	for i, p := range c.parts {
		if p.kind != chunkenc.ValNone && (c.current < 0 || p.it.AtT() < c.parts[c.current].it.AtT()) {
			c.current = i
		}
	}
	if c.current < 0 {
		return chunkenc.ValNone
	}
	return c.parts[c.current].kind
}

func (c *chain) now() chunkenc.Iterator { return c.parts[c.current].it }

// At returns the current float.
func (c *chain) At() (int64, float64) { return c.now().At() }

// AtHistogram returns the current histogram.
func (c *chain) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	return c.now().AtHistogram(h)
}

// AtFloatHistogram returns the current histogram.
func (c *chain) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	return c.now().AtFloatHistogram(h)
}

// AtT returns the time of the current sample.
func (c *chain) AtT() int64 { return c.now().AtT() }

// AtST returns since when the counter of the current sample has been counting.
func (c *chain) AtST() int64 { return c.now().AtST() }

// Err is the first error of the parts.
func (c *chain) Err() error {
	for _, p := range c.parts {
		if err := p.it.Err(); err != nil {
			return err
		}
	}
	return nil
}
