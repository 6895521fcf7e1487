package shard

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/query"
)

// QueryMetrics answers a query; see tsdb.MetricsStorage. Metrics of one series share their Labels.
func (s *Shard) QueryMetrics(ctx context.Context, q tsdb.MetricsQuery) ([]tsdb.Metric, error) {
	compiled, err := query.Compile(q)
	if err != nil {
		return nil, err
	}
	var answer query.Answer
	if compiled.Instant {
		answer, err = s.Instant(ctx, compiled.Expr, compiled.Range.End)
	} else {
		answer, err = s.Range(ctx, compiled.Expr, compiled.Range)
	}
	if err != nil {
		return nil, err
	}
	return s.metrics(answer.Rows()), nil
}

// Instant evaluates PromQL at one time.
func (s *Shard) Instant(ctx context.Context, expr string, at time.Time) (query.Answer, error) {
	return s.queries.Instant(ctx, query.NewQueryable(s.engine), expr, at)
}

// Range evaluates PromQL at many times.
func (s *Shard) Range(ctx context.Context, expr string, r query.Range) (query.Answer, error) {
	return s.queries.Range(ctx, query.NewQueryable(s.engine), expr, r)
}

func (s *Shard) metrics(rows []query.Row) []tsdb.Metric {
	var metrics []tsdb.Metric
	for _, row := range rows {
		m := tsdb.Metric{Name: row.Labels.Get(nameLabel), Labels: map[string]string{}, Source: row.Labels.Get(sourceLabel)}
		row.Labels.Range(func(l labels.Label) {
			if l.Name != nameLabel {
				m.Labels[l.Name] = l.Value
			}
		})
		d := s.names.of(m.Name)
		m.Type, m.Unit = d.Type, d.Unit
		for _, p := range row.Points {
			m.Value, m.Histogram, m.Timestamp = p.V, p.H, time.UnixMilli(p.T).UTC()
			metrics = append(metrics, m)
		}
	}
	return metrics
}
