package display

import "bufio"

// uplot writes what uPlot takes: data, whose first array is x and whose others are series, with null for gaps, and the labels
// of the series. Times are milliseconds: the chart needs ms: 1. A heatmap has facets in place of columns, as uPlot's mode 2
// has: data[i] is [x, lower, upper, count]. See https://github.com/leeoniya/uPlot/tree/master/docs.
func uplot(w *bufio.Writer, a Answer, o Options) error {
	j := &jsonOut{w: w}
	if o.View == Heatmap {
		return j.facets(a)
	}
	c, x, err := uplotColumns(a, o)
	if err != nil {
		return err
	}
	j.raw(`{"view":"` + string(o.View) + `","x":`)
	j.text(x)
	if a.Unit != "" {
		j.raw(`,"unit":`)
		j.text(a.Unit)
	}
	j.raw(`,"series":`)
	j.list(len(c.columns)-1, func(i int) {
		j.raw(`{"label":`)
		j.text(c.columns[i+1].name)
		j.raw(`,"labels":`)
		j.labels(c.columns[i+1].labels)
		j.raw("}")
	})
	if len(c.categories) > 0 {
		j.field("categories", c.categories)
	}
	j.raw(`,"data":`)
	j.list(len(c.columns), func(i int) {
		if column := c.columns[i]; column.times != nil {
			j.list(len(column.times), func(k int) { j.integer(column.times[k]) })
		} else {
			j.list(len(column.values), func(k int) { j.number(column.values[k]) })
		}
		j.raw("\n")
	})
	j.notes(a)
	j.raw("}\n")
	return nil
}

func (j *jsonOut) facets(a Answer) error {
	all, err := Distributions(a)
	if err != nil {
		return err
	}
	j.raw(`{"view":"heatmap","mode":2,"x":"time","facets":["time","lower","upper","count"],"series":`)
	j.list(len(all), func(i int) {
		j.raw(`{"label":`)
		j.text(Name(all[i].Labels))
		j.raw(`,"labels":`)
		j.labels(all[i].Labels)
		j.raw("}")
	})
	j.raw(`,"data":`)
	j.list(len(all)+1, func(i int) {
		if i == 0 {
			j.raw("null") // as mode 2 wants it
			return
		}
		j.list(4, func(facet int) { j.facet(all[i-1], facet) })
		j.raw("\n")
	})
	j.notes(a)
	j.raw("}\n")
	return nil
}

// facet writes one value of every bucket: its time, bounds or count.
func (j *jsonOut) facet(d Distribution, facet int) {
	j.raw("[")
	first := true
	for _, s := range d.Spreads {
		for _, b := range s.Buckets {
			if !first {
				j.raw(",")
			}
			first = false
			if facet == 0 {
				j.integer(s.T)
				continue
			}
			j.number([]float64{b.Lower, b.Upper, b.Count}[facet-1])
		}
	}
	j.raw("]")
}
