package display

import "bufio"

// marks are the pictures of Vega-Lite for each view: mark and encoding of the fields that its sheet has.
var marks = map[View]string{
	TimeSeries: `"mark":"line","encoding":{"x":{"field":"time","type":"temporal"},"y":{"field":"value","type":"quantitative"},"color":{"field":"series","type":"nominal"}}`,
	Gauge:      `"mark":{"type":"text","fontSize":24},"encoding":{"row":{"field":"series","type":"nominal"},"text":{"field":"value","type":"quantitative"}}`,
	Bar:        `"mark":"bar","encoding":{"x":{"field":"value","type":"quantitative"},"y":{"field":"series","type":"nominal","sort":null}}`,
	Heatmap: `"mark":"rect","encoding":{"x":{"field":"time","type":"ordinal","timeUnit":"utcyearmonthdatehoursminutesseconds"},` +
		`"y":{"field":"bucket","type":"ordinal","sort":{"field":"lower","order":"descending"}},"color":{"field":"count","type":"quantitative"}}`,
	Histogram: `"mark":"bar","encoding":{"x":{"field":"bucket","type":"ordinal","sort":{"field":"lower"}},"y":{"field":"count","type":"quantitative"},` +
		`"color":{"field":"series","type":"nominal"}}`,
	States: `"mark":"bar","encoding":{"x":{"field":"from","type":"temporal"},"x2":{"field":"to"},"y":{"field":"series","type":"nominal"},"color":{"field":"value","type":"nominal"}}`,
}

// vegaLite writes a specification of Vega-Lite with its data inside. Times are milliseconds. See https://vega.github.io/vega-lite/docs/.
func vegaLite(w *bufio.Writer, a Answer, o Options) error {
	s, err := sheetOf(a, o)
	if err != nil {
		return err
	}
	j := &jsonOut{w: w}
	j.raw(`{"$schema":"https://vega.github.io/schema/vega-lite/v5.json",`)
	if len(a.Warnings)+len(a.Infos)+len(a.Unit) > 0 {
		j.raw(`"usermeta":{"unit":`)
		j.text(a.Unit)
		j.notes(a)
		j.raw("},")
	}
	j.raw(marks[o.View] + `,"data":{"values":`)
	j.rows(s, func(cells []cell) {
		open := "{"
		for i, c := range s.columns {
			j.raw(open)
			open = ","
			j.text(c.name)
			j.raw(":")
			j.cell(c.kind, cells[i])
		}
		j.raw("}")
	})
	j.raw("}}\n")
	return nil
}
