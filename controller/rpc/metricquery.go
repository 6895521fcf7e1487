package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/prometheus/promql"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// Metrics asks all shards.
type Metrics struct {
	Engine promql.QueryEngine
	Fleet  *federate.Fleet
}

const (
	// maxQuery bounds the text of a query.
	maxQuery = 64 << 10
	// seriesBatch is about how many values travel in one message.
	seriesBatch = 8192
)

// QueryMetrics evaluates and streams the series.
func (s *metricService) QueryMetrics(ctx context.Context, r *connect.Request[novacronv1.QueryMetricsRequest], stream *connect.ServerStream[novacronv1.QueryMetricsResponse]) error {
	prepared, err := s.prepareQuery(ctx, r.Msg)
	if err != nil {
		return invalid(err)
	}
	defer prepared.Close()
	result := prepared.Exec(ctx)
	if result.Err != nil {
		return queryFailed(ctx, result.Err)
	}
	if err := sendRows(query.Answer{Value: result.Value}.Rows(), stream.Send); err != nil {
		return err
	}
	warnings, infos := result.Warnings.AsStrings(r.Msg.GetQuery(), 0, 0)
	return stream.Send(&novacronv1.QueryMetricsResponse{Summary: &novacronv1.QuerySummary{Warnings: warnings, Infos: infos}})
}

func (s *metricService) prepareQuery(ctx context.Context, r *novacronv1.QueryMetricsRequest) (promql.Query, error) {
	if n := len(r.GetQuery()); n > maxQuery {
		return nil, fmt.Errorf("query: %d bytes, at most %d", n, maxQuery)
	}
	fleet := s.Metrics.Fleet.WithComplete(r.GetComplete())
	if r.GetStart() == nil {
		at := s.Now()
		if r.GetTime() != nil {
			at = r.GetTime().AsTime()
		}
		return s.Metrics.Engine.NewInstantQuery(ctx, fleet, nil, r.GetQuery(), at)
	}
	if r.GetTime() != nil {
		return nil, errors.New("time: not beside start: a query has one time or a range")
	}
	end := s.Now()
	if r.GetEnd() != nil {
		end = r.GetEnd().AsTime()
	}
	times := query.Range{Start: r.GetStart().AsTime(), End: end, Step: r.GetStep().AsDuration()}
	if err := times.Check(); err != nil {
		return nil, err
	}
	return s.Metrics.Engine.NewRangeQuery(ctx, fleet, nil, r.GetQuery(), times.Start, times.End, times.Step.Truncate(time.Millisecond))
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
