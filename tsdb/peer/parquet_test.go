package peer

import (
	"bytes"
	"math"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/display"
	"github.com/novacron/novacron/tsdb/query"
)

// TestParquetIsReadByArrow has the reader of Apache Arrow, which shares no code with the writer, give back every value and label.
func TestParquetIsReadByArrow(t *testing.T) {
	const start, count = 1_769_860_800_000, 3000
	values := []float64{1.5, math.NaN(), math.Inf(1), math.Inf(-1), 0, -1e300}
	rows := []query.Row{query.NewRow(map[string]string{"__name__": "a", "vm": "é \"x\"\n"}, nil), query.NewRow(map[string]string{"__name__": "a", "time": "t"}, nil)}
	for i := range rows {
		for k := range count {
			rows[i].Points = append(rows[i].Points, query.Point{T: start + int64(k)*15_000, V: values[(i+k)%len(values)]})
		}
	}
	var file bytes.Buffer
	require.NoError(t, display.Render(&file, display.Answer{Rows: rows, Step: 15_000}, display.Options{Format: display.Parquet}))

	table, err := pqarrow.ReadTable(t.Context(), bytes.NewReader(file.Bytes()), parquet.NewReaderProperties(memory.DefaultAllocator), pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	require.NoError(t, err)
	defer table.Release()
	require.EqualValues(t, 2*count, table.NumRows())
	columns := map[string]arrow.Array{}
	for i, field := range table.Schema().Fields() {
		whole, err := array.Concatenate(table.Column(i).Data().Chunks(), memory.DefaultAllocator)
		require.NoError(t, err)
		columns[field.Name] = whole
	}
	times, numbers := columns["time"].(*array.Timestamp), columns["value"].(*array.Float64)
	stamp := times.DataType().(*arrow.TimestampType)
	require.Equal(t, arrow.Millisecond, stamp.Unit)
	require.Equal(t, "UTC", stamp.TimeZone)
	for i, row := range rows {
		for k, p := range row.Points {
			at := i*count + k
			require.Equal(t, p.T, int64(times.Value(at)))
			require.Equal(t, math.IsNaN(p.V), math.IsNaN(numbers.Value(at)))
			if !math.IsNaN(p.V) {
				require.Equal(t, p.V, numbers.Value(at))
			}
			for name, label := range map[string]string{"__name__": "__name__", "vm": "vm", "label_time": "time"} {
				texts := columns[name].(*array.String)
				require.Equal(t, !row.Labels.Has(label), texts.IsNull(at), name)
				if row.Labels.Has(label) {
					require.Equal(t, row.Labels.Get(label), texts.Value(at))
				}
			}
		}
	}
}
