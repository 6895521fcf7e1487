package display

import "bufio"

// echarts writes a dataset of ECharts: its dimensions with their types, and its source row by row. Times are milliseconds.
// See https://echarts.apache.org/en/option.html#dataset.
func echarts(w *bufio.Writer, a Answer, o Options) error {
	s, err := sheetOf(a, o)
	if err != nil {
		return err
	}
	j := &jsonOut{w: w}
	j.raw(`{"dataset":{"dimensions":`)
	j.list(len(s.columns), func(i int) {
		j.raw(`{"name":`)
		j.text(s.columns[i].name)
		j.raw(`,"type":"` + map[kind]string{text: "ordinal", number: "number", moment: "time"}[s.columns[i].kind] + `"}`)
	})
	j.raw(`,"source":`)
	j.rows(s, func(cells []cell) {
		j.list(len(cells), func(i int) { j.cell(s.columns[i].kind, cells[i]) })
	})
	j.raw("}")
	if a.Unit != "" {
		j.raw(`,"unit":`)
		j.text(a.Unit)
	}
	j.notes(a)
	j.raw("}\n")
	return nil
}
