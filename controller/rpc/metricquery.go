package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"connectrpc.com/connect"

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
	answer, err := s.answer(ctx, r.Msg)
	if err != nil {
		return queryFailed(ctx, err)
	}
	if err := sendRows(answer.Rows(), stream.Send); err != nil {
		return err
	}
	return stream.Send(&novacronv1.QueryMetricsResponse{Summary: &novacronv1.QuerySummary{Warnings: answer.Warnings, Infos: answer.Infos}})
}

func (s *metricService) answer(ctx context.Context, r *novacronv1.QueryMetricsRequest) (query.Answer, error) {
	if n := len(r.GetQuery()); n > maxQuery {
		return query.Answer{}, fmt.Errorf("query: %d bytes, at most %d", n, maxQuery)
	}
	if r.GetStart() == nil {
		at := s.Now()
		if r.GetTime() != nil {
			at = r.GetTime().AsTime()
		}
		return s.Metrics.Instant(ctx, r.GetQuery(), at, r.GetComplete())
	}
	if r.GetTime() != nil {
		return query.Answer{}, errors.New("time: not beside start: a query has one time or a range")
	}
	end := s.Now()
	if r.GetEnd() != nil {
		end = r.GetEnd().AsTime()
	}
	times := query.Range{Start: r.GetStart().AsTime(), End: end, Step: r.GetStep().AsDuration().Truncate(time.Millisecond)}
	return s.Metrics.Range(ctx, r.GetQuery(), times, r.GetComplete())
}

// queryFailed tells limits and shards that are missing apart from expressions that make no sense.
func queryFailed(ctx context.Context, err error) error {
	var limit *query.LimitError
	var missing *federate.MissingError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &limit):
		return connect.NewError(connect.CodeResourceExhausted, err)
	case errors.As(err, &missing):
		return connect.NewError(connect.CodeUnavailable, err)
	}
	return connect.NewError(connect.CodeInvalidArgument, err)
}

func sendRows(rows []query.Row, send func(*novacronv1.QueryMetricsResponse) error) error {
	message, values := &novacronv1.QueryMetricsResponse{}, 0
	for _, row := range rows {
		message.Series = append(message.Series, seriesOf(row))
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

func seriesOf(row query.Row) *novacronv1.QueriedSeries {
	s := &novacronv1.QueriedSeries{Labels: row.Labels.Map()}
	for i, p := range row.Points {
		s.Times = append(s.Times, p.T)
		if p.H == nil {
			s.Values = append(s.Values, p.V)
			continue
		}
		s.Values = append(s.Values, 0)
		text, err := json.Marshal(p.H)
		if err != nil {
			s.Values[i] = math.NaN() // infinite buckets, which JSON does not have
			continue
		}
		if s.Histograms == nil {
			s.Histograms = map[uint32]string{}
		}
		s.Histograms[uint32(i)] = string(text)
	}
	return s
}
