package forward

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/log"
)

// parser takes a record of the queue apart.
type parser struct {
	log.Fields
	builder labels.ScratchBuilder
}

func newParser(src []byte) parser {
	return parser{Fields: log.Fields{What: "a record of the queue", Src: src}}
}
