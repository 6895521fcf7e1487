package transfer

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
)

// exemplarRunes is the most characters that the labels of an exemplar have in OpenMetrics, names and values together.
const exemplarRunes = 128

// findExemplars looks for those of a metric's series that are to be exported.
func (e *exporter) findExemplars(ctx context.Context, name string) error {
	e.exemplars = map[string][]exemplar.Exemplar{}
	found, err := e.from.Exemplars(ctx, e.options.MinTime, e.options.MaxTime, labels.MustNewMatcher(labels.MatchEqual, nameLabel, name))
	for _, of := range found {
		if matchedBy(e.options.Match, of.Labels) {
			e.exemplars[of.Labels.String()] = of.Exemplars
		}
	}
	return err
}

// takeExemplars returns those of a series, in order of time, where the format has a place for them.
func (e *exporter) takeExemplars(lset labels.Labels) []exemplar.Exemplar {
	if name := lset.Get(nameLabel); len(e.exemplars) == 0 || !strings.HasSuffix(name, "_total") && !strings.HasSuffix(name, "_bucket") {
		return nil
	}
	key := lset.String()
	found := e.exemplars[key]
	delete(e.exemplars, key)
	return found
}

// leaveExemplars counts those of the metric that have no place.
func (e *exporter) leaveExemplars() {
	for _, of := range e.exemplars {
		e.report.leave(LeftExemplars, int64(len(of)))
	}
}

// appendExemplar writes behind the sample of a time the newest exemplar that is not later, and returns those that are.
func (e *exporter) appendExemplar(dst []byte, waiting []exemplar.Exemplar, t int64) (line []byte, left []exemplar.Exemplar) {
	n := 0
	for n < len(waiting) && waiting[n].Ts <= t {
		n++
	}
	if n == 0 {
		return dst, waiting
	}
	newest := &waiting[n-1]
	if runesOf(newest.Labels) > exemplarRunes {
		e.report.leave(LeftExemplars, int64(n))
		return dst, waiting[n:]
	}
	e.report.leave(LeftExemplars, int64(n-1)) // a sample has one
	dst = append(dst, " # {"...)
	newest.Labels.Range(func(l labels.Label) {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = appendPair(dst, l)
	})
	dst = appendValue(append(dst, "} "...), newest.Value)
	if newest.HasTs {
		dst = appendSeconds(append(dst, ' '), newest.Ts)
	}
	return dst, waiting[n:]
}

func runesOf(lset labels.Labels) (n int) {
	lset.Range(func(l labels.Label) { n += utf8.RuneCountInString(l.Name) + utf8.RuneCountInString(l.Value) })
	return n
}
