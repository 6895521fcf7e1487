package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// Metrics asks all shards.
type Metrics struct {
	federate.Questions
	// HTTP is the API of Prometheus over them.
	HTTP http.Handler
}

const (
	// maxQuery bounds the text of a query.
	maxQuery = 64 << 10
	// seriesBatch is about how many values travel in one message.
	seriesBatch = 8192
)

// QueryMetrics evaluates and streams the series.
func (s *metricService) QueryMetrics(ctx context.Context, r *connect.Request[novacronv1.QueryMetricsRequest], stream *connect.ServerStream[novacronv1.QueryMetricsResponse]) error {
	var answer query.Answer
	var err error
	summary := &novacronv1.QuerySummary{}
	ask := func(ctx context.Context) (query.Answer, error) { return s.answer(ctx, r.Msg) }
	switch {
	case r.Msg.GetExplain():
		summary.Explanation, answer.Warnings, err = s.explain(ctx, r.Msg)
	case r.Msg.GetAnalyze():
		var took federate.Analysis
		answer, took, err = federate.Analyze(ctx, ask)
		summary.Analysis = analysisTo(took)
	default:
		answer, err = ask(ctx)
	}
	if err != nil {
		return queryFailed(ctx, err)
	}
	if err := sendRows(answer.Rows(), stream.Send); err != nil {
		return err
	}
	summary.Warnings, summary.Infos = answer.Warnings, answer.Infos
	return stream.Send(&novacronv1.QueryMetricsResponse{Summary: summary})
}

// timesOf are the times of a question: one without a step is at the start.
func (s *metricService) timesOf(r *novacronv1.QueryMetricsRequest) (times query.Range, err error) {
	or := func(at *timestamppb.Timestamp) time.Time {
		if at == nil {
			return s.Now()
		}
		return at.AsTime()
	}
	switch {
	case len(r.GetQuery()) > maxQuery:
		return times, fmt.Errorf("query: %d bytes, at most %d", len(r.GetQuery()), maxQuery)
	case r.GetStart() == nil:
		return query.Range{Start: or(r.GetTime())}, nil
	case r.GetTime() != nil:
		return times, errors.New("time: not beside start: a query has one time or a range")
	}
	times = query.Range{Start: r.GetStart().AsTime(), End: or(r.GetEnd()), Step: r.GetStep().AsDuration().Truncate(time.Millisecond)}
	if times.Step <= 0 {
		return times, times.Check()
	}
	if r.GetAlign() {
		times = times.Aligned()
	}
	return times, nil
}

func (s *metricService) answer(ctx context.Context, r *novacronv1.QueryMetricsRequest) (query.Answer, error) {
	times, err := s.timesOf(r)
	switch {
	case err != nil:
		return query.Answer{}, err
	case times.Step == 0:
		return s.Metrics.Instant(ctx, r.GetQuery(), times.Start, r.GetComplete())
	}
	return s.Metrics.Range(ctx, r.GetQuery(), times, r.GetComplete())
}

// queryFailed tells limits, shards that are missing and panics apart from expressions that make no sense.
func queryFailed(ctx context.Context, err error) error {
	var limit *query.LimitError
	var missing *federate.MissingError
	var crashed runtime.Error // recovered from by what evaluates
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &limit):
		return connect.NewError(connect.CodeResourceExhausted, err)
	case errors.As(err, &missing):
		return connect.NewError(connect.CodeUnavailable, err)
	case errors.As(err, &crashed):
		return connect.NewError(connect.CodeInternal, err)
	}
	return connect.NewError(connect.CodeInvalidArgument, err)
}

func sendRows(rows []query.Row, send func(*novacronv1.QueryMetricsResponse) error) error {
	message, values := &novacronv1.QueryMetricsResponse{}, 0
	for _, row := range rows {
		series, err := seriesOf(row)
		if err != nil {
			return err
		}
		message.Series = append(message.Series, series)
		if values += len(row.Points) + row.Labels.Len(); values < seriesBatch {
			continue
		}
		if err := send(message); err != nil {
			return err
		}
		message, values = &novacronv1.QueryMetricsResponse{}, 0
	}
	if len(message.GetSeries()) == 0 {
		return nil
	}
	return send(message)
}

func seriesOf(row query.Row) (*novacronv1.QueriedSeries, error) {
	s := &novacronv1.QueriedSeries{Labels: row.Labels.Map()}
	for i, p := range row.Points {
		s.Times = append(s.Times, p.T)
		if p.H == nil {
			s.Values = append(s.Values, p.V)
			continue
		}
		s.Values = append(s.Values, 0)
		if text, err := json.Marshal(p.H); err == nil {
			put(&s.Histograms, uint32(i), string(text))
			continue
		}
		// NaN and infinities, which JSON does not have: callers from before packed histograms read NaN.
		s.Values[i] = math.NaN()
		packed, err := query.PackHistogram(p)
		if err != nil {
			return nil, fmt.Errorf("series %s: %w", row.Labels, err)
		}
		put(&s.PackedHistograms, uint32(i), packed)
	}
	return s, nil
}

func put[V any](all *map[uint32]V, at uint32, v V) {
	if *all == nil {
		*all = map[uint32]V{}
	}
	(*all)[at] = v
}
