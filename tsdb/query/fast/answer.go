package fast

import (
	"errors"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/schema"
)

// Row is one series of an answer: Values has one for each time of the evaluation, and the bits of value.StaleNaN where
// there is none.
type Row struct {
	Labels labels.Labels
	Values []float64
}

// collector keeps rows.
type collector struct {
	*evaluation
	rows []Row
}

func (c *collector) take(lset labels.Labels, row []float64) {
	if c.room -= 8 * len(row); c.room < 0 {
		return
	}
	c.rows = append(c.rows, Row{lset, slices.Clone(row)})
}

func (c *collector) end(*tally) error { return nil }

// errSame is upstream's.
var errSame = errors.New("vector cannot contain metrics with the same labelset")

// finish makes of rows those of the answer, in the order of upstream's: without names, where they are dropped, and with
// the values of all times.
func (e *evaluation) finish(rows []Row) ([]Row, error) {
	if e.drop {
		for i := range rows {
			rows[i].Labels = rows[i].Labels.DropReserved(schema.IsMetadataLabel)
		}
	}
	rows, err := unite(rows)
	if err != nil || e.instant {
		return rows, err
	}
	if e.steps < e.answers {
		for i := range rows {
			rows[i].Values = slices.Repeat(rows[i].Values, e.answers)
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return labels.Compare(a.Labels, b.Labels) })
	return rows, done(e.ctx)
}

// unite makes one row of those that have the same labels now that names are dropped; they must not meet in a step.
func unite(rows []Row) ([]Row, error) {
	at := make(map[uint64]int, len(rows))
	united := rows[:0]
	for _, row := range rows {
		hash := row.Labels.Hash()
		first, known := at[hash]
		if !known {
			at[hash] = len(united)
			united = append(united, row)
			continue
		}
		for i, v := range row.Values {
			switch to := &united[first].Values[i]; {
			case isAbsent(v):
			case isAbsent(*to):
				*to = v
			default:
				return nil, errSame
			}
		}
	}
	return united, nil
}

// inPromQL makes of the rows of an answer a vector for one time, and a matrix for a range.
func (e *evaluation) inPromQL(rows []Row) parser.Value {
	if e.instant {
		vector := make(promql.Vector, len(rows))
		for i, row := range rows {
			vector[i] = promql.Sample{Metric: row.Labels, T: e.start, F: row.Values[0], DropName: e.drop}
		}
		return vector
	}
	matrix := make(promql.Matrix, len(rows))
	for i, row := range rows {
		matrix[i] = promql.Series{Metric: row.Labels, Floats: e.points(row.Values), DropName: e.drop}
	}
	return matrix
}

func (e *evaluation) points(row []float64) []promql.FPoint {
	points := make([]promql.FPoint, 0, valuesIn(row))
	for i, v := range row {
		if !isAbsent(v) {
			points = append(points, promql.FPoint{T: e.start + int64(i)*e.step, F: v})
		}
	}
	return points
}
