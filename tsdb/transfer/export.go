package transfer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/engine"
)

// ExportOptions choose what is exported.
type ExportOptions struct {
	// MinTime and MaxTime are in milliseconds, both inclusive.
	MinTime, MaxTime int64
	// Match chooses series: those that all matchers of one of the lists match. None are all series.
	Match [][]*labels.Matcher
	// Describe, when set, tells the type, unit and help text of a metric.
	Describe func(name string) (kind, unit, help string)
}

// Export writes samples as OpenMetrics, metric by metric: memory does not grow with them. Exemplars stand behind samples of
// counters and buckets. Native histograms, stale markers and other exemplars have no place in the format and are counted
// as left out; blocks have the first two, a snapshot all.
func Export(ctx context.Context, from engine.Engine, out io.Writer, options ExportOptions) (Report, error) {
	e := exporter{out: bufio.NewWriterSize(out, 64<<10), options: options, from: from}
	if len(options.Match) == 0 {
		e.options.Match = [][]*labels.Matcher{nil}
	}
	names, err := e.names(ctx)
	if err != nil {
		return e.report, err
	}
	for _, name := range names {
		if err := e.metric(ctx, name); err != nil {
			return e.report, fmt.Errorf("exporting %s: %w", name, err)
		}
	}
	fmt.Fprintln(e.out, endMark)
	return e.report, e.out.Flush()
}

type exporter struct {
	out     *bufio.Writer
	from    engine.Engine
	options ExportOptions
	report  Report
	it      chunkenc.Iterator
	line    []byte
	// exemplars are those of the metric's series that are not written yet, by the labels.
	exemplars map[string][]exemplar.Exemplar
}

// names are the metrics to export.
func (e *exporter) names(ctx context.Context) ([]string, error) {
	seen := map[string]bool{}
	var names []string
	for _, matchers := range e.options.Match {
		found, err := e.from.LabelValues(ctx, nameLabel, e.options.MinTime, e.options.MaxTime, 0, matchers...)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// metric writes all series of one name. One that several lists match is written once.
func (e *exporter) metric(ctx context.Context, name string) error {
	e.describe(name)
	if err := e.findExemplars(ctx, name); err != nil {
		return err
	}
	byName := labels.MustNewMatcher(labels.MatchEqual, nameLabel, name)
	var before [][]*labels.Matcher
	for _, matchers := range e.options.Match {
		if err := e.series(ctx, append([]*labels.Matcher{byName}, matchers...), before); err != nil {
			return err
		}
		before = append(before, matchers)
	}
	e.leaveExemplars()
	return nil
}

func (e *exporter) series(ctx context.Context, matchers []*labels.Matcher, before [][]*labels.Matcher) (err error) {
	set, err := e.from.Select(ctx, engine.Selection{Min: e.options.MinTime, Max: e.options.MaxTime, Matchers: matchers, Sorted: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	for set.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		lset := set.At().Labels()
		if matchedBy(before, lset) {
			continue
		}
		if err := e.samples(lset, set.At()); err != nil {
			return err
		}
	}
	return set.Err()
}

func matchedBy(lists [][]*labels.Matcher, lset labels.Labels) bool {
	for _, matchers := range lists {
		all := true
		for _, m := range matchers {
			all = all && m.Matches(lset.Get(m.Name))
		}
		if all {
			return true
		}
	}
	return false
}

func (e *exporter) samples(lset labels.Labels, series engine.Series) error {
	prefix := appendSeries(e.line[:0], lset)
	n := len(prefix)
	waiting := e.takeExemplars(lset)
	e.it = series.Iterator(e.it)
	written := false
	for kind := e.it.Next(); kind != chunkenc.ValNone; kind = e.it.Next() {
		if kind != chunkenc.ValFloat {
			e.report.leave(LeftHistograms, 1)
			continue
		}
		t, v := e.it.At()
		if value.IsStaleNaN(v) {
			e.report.leave(LeftStale, 1)
			continue
		}
		prefix = appendValue(append(prefix[:n], ' '), v)
		prefix = appendSeconds(append(prefix, ' '), t)
		prefix, waiting = e.appendExemplar(prefix, waiting, t)
		prefix = append(prefix, '\n')
		if _, err := e.out.Write(prefix); err != nil {
			return err
		}
		e.report.widen(t, t)
		e.report.Samples++
		written = true
	}
	e.line = prefix
	e.report.leave(LeftExemplars, int64(len(waiting)))
	if written {
		e.report.Series++
	}
	return e.it.Err()
}

// describe writes what is known of a metric. A counter's name in OpenMetrics is without _total. Parts of classic
// histograms and summaries stand for themselves.
func (e *exporter) describe(name string) {
	if e.options.Describe == nil {
		return
	}
	kind, unit, help := e.options.Describe(name)
	family := name
	switch kind {
	case "counter":
		var total bool
		if family, total = strings.CutSuffix(name, "_total"); !total {
			family, kind = name, "unknown"
		}
	case "gauge":
	default:
		kind = "unknown"
	}
	written := string(appendName(nil, family))
	fmt.Fprintf(e.out, "# TYPE %s %s\n", written, kind)
	if unit != "" && strings.HasSuffix(family, "_"+unit) {
		fmt.Fprintf(e.out, "# UNIT %s %s\n", written, unit)
	}
	if help != "" {
		fmt.Fprintf(e.out, "# HELP %s %s\n", written, escape.Replace(help))
	}
}

var escape = strings.NewReplacer("\\", `\\`, "\n", `\n`, "\"", `\"`)

// appendSeries writes a series: name{label="value"}, with names in quotes where they are not of the classic letters.
func appendSeries(dst []byte, lset labels.Labels) []byte {
	name := lset.Get(nameLabel)
	inside := !classic(name, true)
	if !inside {
		dst = append(dst, name...)
	}
	if lset.Len() == 1 && !inside {
		return dst
	}
	dst = append(dst, '{')
	first := true
	if inside {
		dst = appendQuoted(dst, name)
		first = false
	}
	lset.Range(func(l labels.Label) {
		if l.Name == nameLabel {
			return
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendPair(dst, l)
	})
	return append(dst, '}')
}

func appendPair(dst []byte, l labels.Label) []byte {
	if classic(l.Name, false) {
		dst = append(dst, l.Name...)
	} else {
		dst = appendQuoted(dst, l.Name)
	}
	return appendQuoted(append(dst, '='), l.Value)
}

func appendName(dst []byte, name string) []byte {
	if classic(name, true) {
		return append(dst, name...)
	}
	return appendQuoted(dst, name)
}

func appendQuoted(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := range len(text) {
		switch c := text[i]; c {
		case '\\', '"':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// classic tells whether a name needs no quotes; metrics may have colons.
func classic(name string, colon bool) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || colon && c == ':'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// appendValue writes a float so that it is read again as the same; NaNs become one.
func appendValue(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "+Inf"...)
	case math.IsInf(v, -1):
		return append(dst, "-Inf"...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// appendSeconds writes milliseconds as seconds, exactly.
func appendSeconds(dst []byte, t int64) []byte {
	if t < 0 {
		dst, t = append(dst, '-'), -t
	}
	dst = strconv.AppendInt(dst, t/1000, 10)
	if rest := t % 1000; rest > 0 {
		dst = append(dst, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	}
	return dst
}
