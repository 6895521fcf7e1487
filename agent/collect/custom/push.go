package custom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
)

// jsonSample is one sample of a push in JSON.
type jsonSample struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	// Value is a number, or one of the texts NaN, +Inf and -Inf.
	Value *jsonNumber `json:"value"`
	// Time is when it was measured; without it, when it is taken.
	Time time.Time       `json:"time"`
	Type tsdb.MetricType `json:"type"`
	Unit string          `json:"unit"`
}

type jsonNumber float64

// UnmarshalJSON reads a number or the text of one.
func (n *jsonNumber) UnmarshalJSON(text []byte) error {
	plain := string(bytes.Trim(text, `"`))
	v, err := strconv.ParseFloat(plain, 64)
	if err != nil {
		return fmt.Errorf("value %.40q: write a number, or \"NaN\", \"+Inf\" or \"-Inf\"", plain)
	}
	if math.IsNaN(v) {
		v = math.NaN() // and never the one that ends a series
	}
	*n = jsonNumber(v)
	return nil
}

// Decode reads the body of a push: an exposition, or samples in JSON, in a list or one after another. Samples without a
// time get that of now.
func Decode(body []byte, contentType string, now time.Time, maxSamples int) ([]collect.Metric, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = ""
	}
	switch kind {
	case "application/json", "application/jsonl", "application/x-ndjson":
		return decodeJSON(body, now, maxSamples)
	case typeText, typeOpenMetrics, typeProtobuf:
		r := reading{contentType: contentType, at: now, native: true, maxSamples: maxSamples, series: plainSeries}
		got, err := r.read(body)
		return got.metrics, err
	}
	return nil, fail(http.StatusUnsupportedMediaType, "the content type %.120q is not taken: send text/plain or application/openmetrics-text for an exposition, application/json for samples in JSON", contentType)
}

// plainSeries takes a series as it is written.
func plainSeries(_ []byte, name string, own map[string]string) (*series, error) {
	return &series{name: name, labels: own}, nil
}

func decodeJSON(body []byte, now time.Time, maxSamples int) ([]collect.Metric, error) {
	in := json.NewDecoder(bytes.NewReader(body))
	in.DisallowUnknownFields()
	list := bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("["))
	if list {
		if _, err := in.Token(); err != nil {
			return nil, err
		}
	}
	var all []collect.Metric
	for !list || in.More() {
		var one jsonSample
		err := in.Decode(&one)
		switch {
		case !list && errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("sample %d, at byte %d: %w", len(all), in.InputOffset(), err)
		case one.Value == nil:
			return nil, fmt.Errorf("sample %d, metric %.80q: it has no value", len(all), one.Name)
		case len(all) == maxSamples:
			return nil, fmt.Errorf("%w: there are more than %d: send fewer at once", errTooMany, maxSamples)
		}
		all = append(all, one.metric(now))
	}
	if _, err := in.Token(); err != nil { // the end of the list
		return nil, fmt.Errorf("behind sample %d: %w", len(all), err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("there is more behind the list of %d samples", len(all))
	}
	return all, nil
}

func (s jsonSample) metric(now time.Time) collect.Metric {
	if s.Time.IsZero() {
		s.Time = now
	}
	return collect.Metric{Name: s.Name, Labels: s.Labels, Value: float64(*s.Value), Timestamp: s.Time, Type: s.Type, Unit: s.Unit}
}
