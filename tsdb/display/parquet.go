package display

import (
	"bufio"
	"strings"

	"github.com/parquet-go/parquet-go"
)

const (
	// parquetBatch is how many rows are handed over at one time.
	parquetBatch = 1024
	// parquetGroup is how many rows are held until they are written.
	parquetGroup = 128 << 10
)

// parquetFile writes a sheet as a Parquet file: times are timestamps in milliseconds (UTC), values are doubles, which have NaN
// and infinities, texts are strings. A gap, and a label that a series does not have, is null.
func parquetFile(w *bufio.Writer, a Answer, o Options) error {
	s, err := sheetOf(a, o)
	if err != nil {
		return err
	}
	out := parquet.NewGenericWriter[any](w, parquetSchema(s.columns), parquet.Compression(&parquet.Snappy), parquet.MaxRowsPerRowGroup(parquetGroup))
	for key, text := range map[string]string{"unit": a.Unit, "warnings": strings.Join(a.Warnings, "\n"), "infos": strings.Join(a.Infos, "\n")} {
		if text != "" {
			out.SetKeyValueMetadata("novacron."+key, text)
		}
	}
	batch := make([]parquet.Row, 0, parquetBatch)
	for cells := range s.rows {
		batch = append(batch, parquetRow(s.columns, cells))
		if len(batch) < parquetBatch {
			continue
		}
		if _, err := out.WriteRows(batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	if _, err := out.WriteRows(batch); err != nil {
		return err
	}
	return out.Close()
}

func parquetRow(columns []column, cells []cell) parquet.Row {
	row := make(parquet.Row, len(columns))
	for i, c := range columns {
		v, null := parquetValue(c.kind, cells[i])
		switch {
		case c.rare && null:
			row[i] = parquet.NullValue().Level(0, 0, i)
		case c.rare:
			row[i] = v.Level(0, 1, i)
		default:
			row[i] = v.Level(0, 0, i)
		}
	}
	return row
}

func parquetValue(k kind, c cell) (v parquet.Value, null bool) {
	switch k {
	case moment:
		return parquet.Int64Value(c.t), false
	case number:
		return parquet.DoubleValue(c.v), isGap(c.v)
	}
	return parquet.ByteArrayValue([]byte(c.s)), c.s == ""
}

// ordered is a group that keeps the order of its columns, where parquet.Group has that of their names.
type ordered struct {
	parquet.Group
	fields []parquet.Field
}

// Fields are the columns in order.
func (o ordered) Fields() []parquet.Field { return o.fields }

func parquetSchema(columns []column) *parquet.Schema {
	group := parquet.Group{}
	for _, c := range columns {
		node := map[kind]parquet.Node{
			text: parquet.String(), number: parquet.Leaf(parquet.DoubleType), moment: parquet.Timestamp(parquet.Millisecond),
		}[c.kind]
		if c.kind == text {
			node = parquet.Encoded(node, &parquet.RLEDictionary)
		}
		if c.rare {
			node = parquet.Optional(node)
		}
		group[c.name] = node
	}
	byName := map[string]parquet.Field{}
	for _, field := range group.Fields() {
		byName[field.Name()] = field
	}
	root := ordered{Group: group}
	for _, c := range columns {
		root.fields = append(root.fields, byName[c.name])
	}
	return parquet.NewSchema("metrics", root)
}
