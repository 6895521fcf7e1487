package display

import (
	"bufio"
	"math"

	"github.com/prometheus/prometheus/model/labels"
)

// frame is a data frame of Grafana: columns of the same length.
type frame struct {
	kind   string
	fields []field
}

// field is a column, with values of one of the kinds.
type field struct {
	name    string
	labels  labels.Labels
	unit    string
	kind    kind
	numbers []float64
	times   []int64
	texts   []string
}

// grafana writes data frames as Grafana's servers do: a list of frames, each with a schema and its data. Their types are those of
// the data plane contract (https://grafana.com/developers/dataplane): timeseries-wide and -multi, numeric-wide and -multi;
// heatmap-cells and histogram are those of Grafana's own Prometheus data source, and table has no constraints.
func grafana(w *bufio.Writer, a Answer, o Options) error {
	frames, err := grafanaFrames(a, o)
	if err != nil {
		return err
	}
	j := &jsonOut{w: w}
	j.list(len(frames), func(i int) {
		j.frame(frames[i], a)
		j.raw("\n")
	})
	j.raw("\n")
	return nil
}

func (j *jsonOut) frame(f frame, a Answer) {
	j.raw(`{"schema":{"meta":{"type":"` + f.kind + `","typeVersion":[0,1]`)
	if len(a.Warnings)+len(a.Infos) > 0 {
		j.raw(`,"notices":`)
		j.list(len(a.Warnings)+len(a.Infos), func(i int) {
			if i < len(a.Warnings) {
				j.notice("warning", a.Warnings[i])
			} else {
				j.notice("info", a.Infos[i-len(a.Warnings)])
			}
		})
	}
	j.raw(`},"fields":`)
	j.list(len(f.fields), func(i int) { j.fieldSchema(f.fields[i]) })
	j.raw(`},"data":{"values":`)
	j.list(len(f.fields), func(i int) { j.fieldValues(f.fields[i]) })
	j.entities(f.fields)
	j.raw("}}")
}

func (j *jsonOut) notice(severity, note string) {
	j.raw(`{"severity":"` + severity + `","text":`)
	j.text(note)
	j.raw("}")
}

func (j *jsonOut) fieldSchema(f field) {
	types := map[kind]string{
		text: `"string","typeInfo":{"frame":"string"}`, moment: `"time","typeInfo":{"frame":"time.Time"}`,
		number: `"number","typeInfo":{"frame":"float64","nullable":true}`,
	}
	j.raw(`{"name":`)
	j.text(f.name)
	j.raw(`,"type":` + types[f.kind])
	if !f.labels.IsEmpty() {
		j.raw(`,"labels":`)
		j.labels(f.labels)
	}
	if unit := grafanaUnits[f.unit]; unit != "" && f.kind == number {
		j.raw(`,"config":{"unit":"` + unit + `"}`)
	}
	j.raw("}")
}

// grafanaUnits are Grafana's names of units.
var grafanaUnits = map[string]string{
	"bytes": "bytes", "bytes/s": "binBps", "seconds": "s", "ratio": "percentunit", "percent": "percent", "celsius": "celsius", "hertz": "hertz", "watts": "watt",
}

func (j *jsonOut) fieldValues(f field) {
	switch f.kind {
	case number:
		j.list(len(f.numbers), func(i int) { j.number(f.numbers[i]) })
	case moment:
		j.list(len(f.times), func(i int) { j.integer(f.times[i]) })
	case text:
		j.texts(f.texts)
	}
}

// entities say where a null stands for NaN or an infinity; there are none where no field has any.
func (j *jsonOut) entities(fields []field) {
	any := false
	for _, f := range fields {
		for _, v := range f.numbers {
			any = any || !finite(v) && !isGap(v)
		}
	}
	if !any {
		return
	}
	j.raw(`,"entities":`)
	j.list(len(fields), func(i int) {
		sets := []struct {
			name string
			is   func(float64) bool
		}{
			{"NaN", func(v float64) bool { return math.IsNaN(v) && !isGap(v) }},
			{"Inf", func(v float64) bool { return math.IsInf(v, 1) }},
			{"NegInf", func(v float64) bool { return math.IsInf(v, -1) }},
		}
		open := "{"
		for _, set := range sets {
			where := indices(fields[i].numbers, set.is)
			if len(where) == 0 {
				continue
			}
			j.raw(open + `"` + set.name + `":`)
			open = ","
			j.list(len(where), func(k int) { j.integer(int64(where[k])) })
		}
		if open == "{" {
			j.raw("null")
			return
		}
		j.raw("}")
	})
}

func indices(values []float64, is func(float64) bool) (where []int) {
	for i, v := range values {
		if is(v) {
			where = append(where, i)
		}
	}
	return where
}
