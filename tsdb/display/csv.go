package display

import (
	"bufio"
	"encoding/csv"
	"strconv"
	"time"
)

// csvText writes a line of names and the sheet (RFC 4180). Times are RFC 3339 in UTC; NaN, +Inf and -Inf are written so; a gap
// is empty.
func csvText(w *bufio.Writer, a Answer, o Options) error {
	s, err := sheetOf(a, o)
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	record := make([]string, len(s.columns))
	for i, c := range s.columns {
		record[i] = c.name
	}
	if err := out.Write(record); err != nil {
		return err
	}
	for cells := range s.rows {
		for i, c := range s.columns {
			record[i] = csvCell(c.kind, cells[i])
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func csvCell(k kind, c cell) string {
	switch {
	case k == text:
		return c.s
	case k == moment:
		return time.UnixMilli(c.t).UTC().Format("2006-01-02T15:04:05.999Z")
	case isGap(c.v):
		return ""
	}
	return strconv.FormatFloat(c.v, 'g', -1, 64)
}
