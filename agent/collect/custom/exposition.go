package custom

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/novacron/novacron/agent/collect"
)

// The content types of expositions.
const (
	typeText        = "text/plain"
	typeOpenMetrics = "application/openmetrics-text"
	typeProtobuf    = "application/vnd.google.protobuf"
)

func knownType(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == typeText || kind == typeOpenMetrics || kind == typeProtobuf)
}

// reading says how an exposition is read.
type reading struct {
	contentType, fallback string
	// at is the time of samples that have none of their own, and of all with ignoreTimes.
	at          time.Time
	ignoreTimes bool
	// native takes native histograms; classic takes classic ones beside them.
	native, classic bool
	maxSamples      int
	// expect is about how many samples there are.
	expect int
	// round numbers the scrape, from 1; 0 takes samples that come twice.
	round uint64
	// series makes the series of the name and labels that the text writes them with.
	series func(text []byte, name string, own map[string]string) (*series, error)
	// known finds a series that was made before of the same text; nil where it is not wanted.
	known func(text []byte) *series
	// wants leaves out families; nil takes all.
	wants func(name string) bool
}

// series is one series of an exposition. Its labels are shared by all its samples and are not changed.
type series struct {
	name   string
	labels map[string]string
	// seen is the number of the last scrape that had it, told that of the last sample and at its time in milliseconds.
	// present is that of the last scrape that counts; 0 where the series has ended or comes with its own times.
	seen, told, present uint64
	at                  int64
}

// again tells whether a scrape has told a value of the series for this time already.
func (s *series) again(round uint64, at time.Time) bool {
	t := at.UnixMilli()
	twice := s.told == round && s.at == t
	s.told, s.at = round, t
	return twice
}

// exposition is what a text says.
type exposition struct {
	metrics []collect.Metric
	// untimed are the series of samples that came without a time of their own.
	untimed  []*series
	families []collect.MetricDefinition
	// twice counts samples that were left out since the text had one of the same series and time before.
	twice int
}

// errTooMany is of an exposition with more samples than allowed.
var errTooMany = errors.New("too many samples")

// read parses a body. With an error nothing of it counts.
func (r reading) read(body []byte) (got exposition, err error) {
	defer func() {
		if p := recover(); p != nil { // the parser is not ours, and the text is anybody's
			got, err = exposition{}, fmt.Errorf("the text cannot be read: its parser failed: %v", p)
		}
	}()
	p, err := textparse.New(body, r.contentType, nil, textparse.ParserOptions{
		IgnoreNativeHistograms: !r.native, KeepClassicOnClassicAndNativeHistograms: r.classic,
		OpenMetricsSkipSTSeries: true, FallbackContentType: r.fallback,
	})
	if p == nil {
		return exposition{}, fmt.Errorf("content type %.120q is none of text/plain, application/openmetrics-text and application/vnd.google.protobuf: is this the address of metrics? If so, set the type to fall back to: %w", r.contentType, err)
	}
	if _, binary := p.(*textparse.ProtobufParser); !binary && bytes.IndexByte(body, 0) >= 0 { // the parser would end there
		return exposition{}, fmt.Errorf("the text has a byte 0 at %d: it is no text", bytes.IndexByte(body, 0))
	}
	x := expositionReader{reading: r, parser: p}
	x.got.metrics = make([]collect.Metric, 0, r.expect)
	if err := x.all(); err != nil {
		return exposition{}, err
	}
	x.endFamily()
	return x.got, nil
}

// expositionReader is the way through one body.
type expositionReader struct {
	reading
	parser textparse.Parser
	family family
	got    exposition
	lset   labels.Labels
	// exemplar is where the parser puts one.
	exemplar exemplar.Exemplar
}

func (x *expositionReader) all() error {
	for {
		entry, err := x.parser.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("after %d samples: %w", len(x.got.metrics), err)
		}
		if err := x.entry(entry); err != nil {
			return err
		}
	}
}

func (x *expositionReader) entry(entry textparse.Entry) error {
	switch entry {
	case textparse.EntrySeries:
		text, at, v := x.parser.Series()
		return x.sample(text, at, v, nil)
	case textparse.EntryHistogram:
		text, at, whole, parts := x.parser.Histogram()
		if parts == nil {
			if whole == nil {
				return fmt.Errorf("the histogram %.200q has no value", text)
			}
			parts = whole.ToFloat(nil)
		}
		return x.sample(text, at, 0, parts)
	case textparse.EntryType:
		name, kind := x.parser.Type()
		x.begin(name).kind = typeNamed(string(kind))
	case textparse.EntryUnit:
		name, unit := x.parser.Unit()
		x.begin(name).unit = string(unit)
	case textparse.EntryHelp:
		name, help := x.parser.Help()
		x.begin(name).help = string(help)
	case textparse.EntryInvalid, textparse.EntryComment:
	}
	return nil
}

// begin returns the family of a name; where it is another one the last has ended.
func (x *expositionReader) begin(name []byte) *family {
	if x.family.name != string(name) {
		x.endFamily()
		x.family = family{name: string(name)}
	}
	return &x.family
}

func (x *expositionReader) endFamily() {
	if x.family.name != "" && len(x.got.families) < x.maxSamples {
		x.got.families = append(x.got.families, x.family.definition())
	}
}

func (x *expositionReader) sample(text []byte, at *int64, v float64, h *histogram.FloatHistogram) error {
	s, err := x.find(text)
	if err != nil || !x.wanted(s.name) {
		return err
	}
	if len(x.got.metrics) == x.maxSamples {
		return fmt.Errorf("%w: there are more than %d; select fewer at the target or raise the limit of the source", errTooMany, x.maxSamples)
	}
	m := collect.Metric{Name: s.name, Labels: s.labels, Value: v, Histogram: h, Timestamp: x.at, Type: x.family.typeOf(s.name, h != nil)}
	if m.Type != "" {
		m.Unit = x.family.unit
	}
	timed := at != nil && !x.ignoreTimes
	if timed {
		m.Timestamp = time.UnixMilli(*at)
	}
	if start := x.parser.StartTimestamp(); start > 0 && start <= m.Timestamp.UnixMilli() {
		m.Start = time.UnixMilli(start)
	}
	if x.round > 0 && s.again(x.round, m.Timestamp) {
		x.got.twice++
		return nil
	}
	if !timed {
		x.got.untimed = append(x.got.untimed, s)
	}
	m.Exemplars = x.exemplars(m.Timestamp)
	x.got.metrics = append(x.got.metrics, m)
	return nil
}

// find returns the series that the text writes, which the scrape before may have had.
func (x *expositionReader) find(text []byte) (*series, error) {
	if x.known != nil {
		if s := x.known(text); s != nil {
			return s, nil
		}
	}
	x.parser.Labels(&x.lset)
	name, own := "", map[string]string{}
	x.lset.Range(func(l labels.Label) {
		if l.Name == nameLabel {
			name = l.Value
		} else {
			own[l.Name] = l.Value
		}
	})
	if name == "" {
		return nil, fmt.Errorf("the series %.200q has no name", text)
	}
	return x.series(text, name, own)
}

func (x *expositionReader) wanted(name string) bool {
	return x.wants == nil || x.wants(name) || x.family.has(name) && x.wants(x.family.definition().Name)
}

// maxExemplars bounds those of one sample.
const maxExemplars = 16

func (x *expositionReader) exemplars(at time.Time) (all []exemplar.Exemplar) {
	for len(all) < maxExemplars && x.parser.Exemplar(&x.exemplar) {
		e := x.exemplar
		x.exemplar = exemplar.Exemplar{}
		if !e.HasTs || e.Ts <= 0 {
			e.Ts = at.UnixMilli()
		}
		e.HasTs = true
		all = append(all, e)
	}
	return all
}
