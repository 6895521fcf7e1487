package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/query"
)

// read answers a remote read with samples. An answer has no place for warnings, so that one in which hosts are missing is
// refused but with partial_response=1.
func (a *api) read(out *answer, r *http.Request) error {
	source, err := a.source(r, false)
	if err != nil {
		return err
	}
	asked, err := a.readRequest(r)
	if err != nil {
		return err
	}
	reader := reading{source: source, limits: a.Limits}
	results := &prompb.ReadResponse{}
	for i, q := range asked.Queries {
		result, err := reader.query(r.Context(), q)
		if err != nil {
			return fmt.Errorf("query %d of the remote read: %w", i, err)
		}
		results.Results = append(results.Results, result)
	}
	text, err := results.Marshal()
	if err != nil {
		return err
	}
	out.plain = true
	out.w.Header().Set("Content-Type", "application/x-protobuf")
	out.w.Header().Set("Content-Encoding", "snappy")
	out.buf = s2.EncodeSnappy(nil, text)
	return nil
}

func (a *api) readRequest(r *http.Request) (*prompb.ReadRequest, error) {
	packed, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	bad := func(err error) error {
		return &failure{badData, fmt.Errorf("the body is no remote read, a message prometheus.ReadRequest packed with snappy: %w", err)}
	}
	size, err := s2.DecodedLen(packed)
	if err == nil && int64(size) > a.Limits.Body {
		return nil, &failure{tooLarge, fmt.Errorf("the remote read has %d bytes unpacked, at most %d: ask for less at one time", size, a.Limits.Body)}
	}
	if err != nil {
		return nil, bad(err)
	}
	text, err := s2.Decode(nil, packed)
	if err != nil {
		return nil, bad(err)
	}
	var asked prompb.ReadRequest
	if err := asked.Unmarshal(text); err != nil {
		return nil, bad(err)
	}
	if types := asked.AcceptedResponseTypes; len(types) > 0 && !slices.Contains(types, prompb.ReadRequest_SAMPLES) {
		return nil, &failure{badData, fmt.Errorf("accepted_response_types is %v: only SAMPLES is sent", types)}
	}
	return &asked, nil
}

// reading collects the answer to a remote read within its limits.
type reading struct {
	source         Source
	limits         Limits
	samples, bytes int
}

func (r *reading) query(ctx context.Context, q *prompb.Query) (*prompb.QueryResult, error) {
	matchers, err := readMatchers(q.Matchers)
	if err != nil {
		return nil, &failure{badData, err}
	}
	querier, err := r.source.Querier(q.StartTimestampMs, q.EndTimestampMs)
	if err != nil {
		return nil, err
	}
	defer func() { _ = querier.Close() }() // reading is over
	set := querier.Select(ctx, true, readHints(q), matchers...)
	result := &prompb.QueryResult{}
	var it chunkenc.Iterator
	for set.Next() {
		series := set.At()
		it = series.Iterator(it)
		entry := &prompb.TimeSeries{Labels: prompb.FromLabels(series.Labels(), nil)}
		if err := r.count(0, entry.Size()); err != nil {
			return nil, err
		}
		if err := r.collect(ctx, entry, it); err != nil {
			return nil, err
		}
		result.Timeseries = append(result.Timeseries, entry)
	}
	return result, set.Err()
}

// readHints are what the client says of the function that it will compute; they do not narrow the question.
func readHints(q *prompb.Query) *storage.SelectHints {
	hints := &storage.SelectHints{Start: q.StartTimestampMs, End: q.EndTimestampMs}
	if h := q.Hints; h != nil {
		hints.Step, hints.Func, hints.Grouping, hints.Range, hints.By = h.StepMs, h.Func, h.Grouping, h.RangeMs, h.By
	}
	return hints
}

func readMatchers(asked []*prompb.LabelMatcher) ([]*labels.Matcher, error) {
	kinds := map[prompb.LabelMatcher_Type]labels.MatchType{
		prompb.LabelMatcher_EQ: labels.MatchEqual, prompb.LabelMatcher_NEQ: labels.MatchNotEqual,
		prompb.LabelMatcher_RE: labels.MatchRegexp, prompb.LabelMatcher_NRE: labels.MatchNotRegexp,
	}
	if len(asked) == 0 {
		return nil, errors.New("a remote read without matchers would be of everything: name at least one")
	}
	matchers := make([]*labels.Matcher, 0, len(asked))
	for _, m := range asked {
		kind, known := kinds[m.Type]
		if !known {
			return nil, fmt.Errorf("the matcher of %s has the type %d: there are 0 to 3", shown(m.Name), m.Type)
		}
		matcher, err := labels.NewMatcher(kind, m.Name, m.Value)
		if err != nil {
			return nil, fmt.Errorf("the matcher of %s has the value %s: %w", shown(m.Name), shown(m.Value), err)
		}
		matchers = append(matchers, matcher)
	}
	return matchers, nil
}

// stride is how many samples are read between two looks at the clock.
const stride = 1024

func (r *reading) collect(ctx context.Context, into *prompb.TimeSeries, it chunkenc.Iterator) error {
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		size := 20 // of a sample, about
		switch kind {
		case chunkenc.ValFloat:
			t, v := it.At()
			into.Samples = append(into.Samples, prompb.Sample{Timestamp: t, Value: v})
		case chunkenc.ValHistogram:
			t, h := it.AtHistogram(nil)
			into.Histograms = append(into.Histograms, prompb.FromIntHistogram(t, h))
			size = into.Histograms[len(into.Histograms)-1].Size()
		default:
			t, h := it.AtFloatHistogram(nil)
			into.Histograms = append(into.Histograms, prompb.FromFloatHistogram(t, h))
			size = into.Histograms[len(into.Histograms)-1].Size()
		}
		if err := r.count(1, size); err != nil {
			return err
		}
		if r.samples%stride == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return it.Err()
}

// count adds to what the answer takes.
func (r *reading) count(samples, bytes int) error {
	r.samples, r.bytes = r.samples+samples, r.bytes+bytes
	const way = "ask for less time or fewer series at one time, or query in PromQL"
	if most := r.limits.ReadSamples; r.samples > most {
		return &query.LimitError{Limit: "samples", Reached: fmt.Sprint(r.samples), Max: fmt.Sprint(most), Way: way}
	}
	if most := r.limits.ReadBytes; r.bytes > most {
		return &query.LimitError{Limit: "bytes", Reached: fmt.Sprint(r.bytes), Max: fmt.Sprint(most), Way: way}
	}
	return nil
}
