package display

import (
	"cmp"

	"github.com/prometheus/prometheus/model/labels"
)

// grafanaFrames are a view as data frames.
func grafanaFrames(a Answer, o Options) ([]frame, error) {
	switch o.View {
	case Heatmap, Histogram:
		return bucketFrames(a, o.View)
	case Table:
		return []frame{sheetFrame(long(a))}, nil
	}
	if err := NumbersOnly(a, o.View); err != nil {
		return nil, err
	}
	multi := o.Format == GrafanaMulti
	switch {
	case o.View == Gauge || o.View == Bar:
		return numericFrames(Latest(a, o), multi), nil
	case o.View == States && multi:
		return eachFrame(a, func(one Answer) columns { return changes(one) }), nil
	case o.View == States:
		return []frame{timeFrame("timeseries-wide", changes(a), "")}, nil
	case multi:
		return eachFrame(a, func(one Answer) columns { return align(one.Rows, one.Step) }), nil
	}
	return []frame{timeFrame("timeseries-wide", align(a.Rows, a.Step), a.Unit)}, nil
}

// eachFrame has a frame for each series; no data is one without fields.
func eachFrame(a Answer, columnsOf func(Answer) columns) []frame {
	var frames []frame
	for _, row := range a.Rows {
		one := a
		one.Rows = a.Rows[:0:0]
		one.Rows = append(one.Rows, row)
		frames = append(frames, timeFrame("timeseries-multi", columnsOf(one), a.Unit))
	}
	if len(frames) == 0 {
		return []frame{{kind: "timeseries-multi"}}
	}
	return frames
}

// timeFrame has a field of times and one for each series; no data is a frame without fields.
func timeFrame(kind string, c columns, unit string) frame {
	f := frame{kind: kind}
	if len(c.series) == 0 {
		return f
	}
	f.fields = append(f.fields, field{name: "Time", kind: moment, times: c.times})
	for _, s := range c.series {
		f.fields = append(f.fields, valueField(s.labels, unit, s.values))
	}
	return f
}

// valueField is named after the metric; its labels tell series apart.
func valueField(l labels.Labels, unit string, values []float64) field {
	return field{
		name: cmp.Or(l.Get(nameLabel), "Value"), labels: labels.NewBuilder(l).Del(nameLabel).Labels(), kind: number, numbers: values, unit: unit,
	}
}

func numericFrames(a Answer, multi bool) []frame {
	all := frame{kind: "numeric-wide"}
	var each []frame
	for _, row := range a.Rows {
		f := valueField(row.Labels, a.Unit, []float64{lastValue(row)})
		all.fields = append(all.fields, f)
		each = append(each, frame{"numeric-multi", []field{f}})
	}
	if !multi || len(each) == 0 {
		return []frame{all}
	}
	return each
}

// bucketFrames has a frame for each series of histograms.
func bucketFrames(a Answer, v View) ([]frame, error) {
	all, err := Distributions(a)
	if err != nil {
		return nil, err
	}
	frames := []frame{}
	for _, d := range all {
		time := field{name: "xMax", kind: moment}
		low, high := field{name: "yMin", kind: number, unit: a.Unit}, field{name: "yMax", kind: number, unit: a.Unit}
		count := field{name: "count", kind: number, labels: d.Labels}
		if v == Histogram {
			d.Spreads = d.Spreads[len(d.Spreads)-1:]
		}
		for _, s := range d.Spreads {
			for _, b := range s.Buckets {
				time.times = append(time.times, s.T)
				low.numbers, high.numbers = append(low.numbers, b.Lower), append(high.numbers, b.Upper)
				count.numbers = append(count.numbers, b.Count)
			}
		}
		if v == Heatmap {
			frames = append(frames, frame{"heatmap-cells", []field{time, low, high, count}})
			continue
		}
		low.name, high.name = "xMin", "xMax"
		frames = append(frames, frame{"histogram", []field{low, high, count}})
	}
	return frames, nil
}

// sheetFrame is a table as columns.
func sheetFrame(s sheet) frame {
	f := frame{kind: "table"}
	for _, c := range s.columns {
		f.fields = append(f.fields, field{name: c.name, kind: c.kind})
	}
	for cells := range s.rows {
		for i, c := range cells {
			switch column := &f.fields[i]; column.kind {
			case text:
				column.texts = append(column.texts, c.s)
			case number:
				column.numbers = append(column.numbers, c.v)
			case moment:
				column.times = append(column.times, c.t)
			}
		}
	}
	return f
}
