package forward

import (
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"
)

// Description is what is known of all series of a metric.
type Description struct {
	// Type is a name of OpenMetrics, such as gauge.
	Type, Unit, Help string
}

// symbols number the texts of a request.
type symbols struct {
	places map[string]uint64
	texts  []string
}

// of is the number of a text; 0 is the empty one.
func (s *symbols) of(text string) uint64 {
	if text == "" {
		return 0
	}
	place, known := s.places[text]
	if !known {
		place = uint64(len(s.texts)) + 1
		s.places[text] = place
		s.texts = append(s.texts, text)
	}
	return place
}

// version2 makes an io.prometheus.write.v2.Request.
func (c *coder) version2(b batch, describe func(metric string) Description) []byte {
	known := symbols{places: map[string]uint64{}}
	c.body = c.body[:0]
	for _, g := range b.groups {
		c.series = c.appendRefs(c.series[:0], g.series.lset, &known)
		for _, one := range g.items {
			c.series = c.appendSample2(c.series, one, g.histograms)
		}
		for _, one := range g.exemplars {
			c.part = appendInteger(appendDouble(c.appendRefs(c.part[:0], one.example, &known), 2, one.v), 3, one.t)
			c.series = appendMessage(c.series, 4, c.part)
		}
		if about := describeSeries(g.series.lset, describe); about != (Description{}) {
			c.part = appendInteger(c.part[:0], 1, typeNumber(about.Type))
			c.part = appendInteger(c.part, 3, int64(known.of(about.Help)))
			c.part = appendInteger(c.part, 4, int64(known.of(about.Unit)))
			c.series = appendMessage(c.series, 5, c.part)
		}
		c.body = appendMessage(c.body, 5, c.series)
	}
	c.request = appendText(c.request[:0], 4, "") // symbols come first: receivers that read once need them then
	for _, text := range known.texts {
		c.request = appendText(c.request, 4, text)
	}
	c.request = append(c.request, c.body...)
	return c.request
}

func (c *coder) appendSample2(dst []byte, one item, histogram bool) []byte {
	if !histogram {
		c.part = c.float(one)
		if one.st != 0 {
			c.part = appendInteger(c.part, 3, one.st)
		}
		return appendMessage(dst, 2, c.part)
	}
	c.part = append(c.part[:0], one.message...)
	if one.st != 0 {
		c.part = appendInteger(c.part, 17, one.st)
	}
	return appendMessage(dst, 3, c.part)
}

func (c *coder) appendRefs(dst []byte, lset labels.Labels, known *symbols) []byte {
	c.pair = c.pair[:0]
	lset.Range(func(l labels.Label) {
		c.pair = protowire.AppendVarint(protowire.AppendVarint(c.pair, known.of(l.Name)), known.of(l.Value))
	})
	return appendMessage(dst, 1, c.pair)
}

// describeSeries finds what is known of a series by its name, or by that of the histogram or summary it is a part of.
func describeSeries(lset labels.Labels, describe func(string) Description) Description {
	if describe == nil {
		return Description{}
	}
	name := lset.Get("__name__")
	if about := describe(name); about != (Description{}) {
		return about
	}
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if family, is := strings.CutSuffix(name, suffix); is {
			return describe(family)
		}
	}
	return Description{}
}

// typeNumber is a type's number in the message.
func typeNumber(name string) int64 {
	for i, known := range []string{"counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"} {
		if name == known {
			return int64(i) + 1
		}
	}
	return 0
}
