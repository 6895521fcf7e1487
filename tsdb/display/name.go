package display

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/query"
)

const (
	nameLabel = "__name__"
	leLabel   = "le"
)

// Name is a series as people write it: its metric, and its other labels in braces.
func Name(l labels.Labels) string {
	var b strings.Builder
	b.WriteString(l.Get(nameLabel))
	open := "{"
	l.Range(func(l labels.Label) {
		if l.Name == nameLabel {
			return
		}
		b.WriteString(open + l.Name + "=" + strconv.Quote(l.Value))
		open = ", "
	})
	if open != "{" {
		b.WriteByte('}')
	}
	if b.Len() == 0 {
		return "{}"
	}
	return b.String()
}

// labelNames are those of all rows, in order, the metric's name first.
func labelNames(rows []query.Row) []string {
	all := map[string]bool{}
	for _, row := range rows {
		row.Labels.Range(func(l labels.Label) { all[l.Name] = true })
	}
	return slices.Sorted(maps.Keys(all))
}

// columnNames gives each label a column that no other has: one whose name is taken is preceded by "label_".
func columnNames(fixed, labels []string) []string {
	taken := map[string]bool{}
	for _, name := range fixed {
		taken[name] = true
	}
	for _, name := range labels {
		taken[name] = taken[name] || !slices.Contains(fixed, name)
	}
	columns := make([]string, len(labels))
	for i, name := range labels {
		columns[i] = name
		if !slices.Contains(fixed, name) {
			continue
		}
		for columns[i] = "label_" + name; taken[columns[i]]; {
			columns[i] = "label_" + columns[i]
		}
		taken[columns[i]] = true
	}
	return columns
}
