package httpapi

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/novacron/novacron/tsdb/display"
	"github.com/novacron/novacron/tsdb/query"
)

// warningHeader has the warnings of an answer in a form without a place for them.
const warningHeader = "X-Novacron-Warning"

// form is how an answer is written for a chart or a file: the parameters format, view, max_points and top. It is ours:
// clients of Prometheus send none of them.
type form struct {
	display.Options
	instant bool
	step    int64 // milliseconds
}

func formParams(r *http.Request) (f form, err error) {
	f.Format, f.View = display.Format(r.FormValue("format")), display.View(r.FormValue("view"))
	if f.Format == "" {
		return form{}, nil
	}
	if f.MaxPoints, err = limitParam(r, "max_points", 0, 0); err != nil {
		return f, err
	}
	if f.Top, err = limitParam(r, "top", 0, 0); err != nil {
		return f, err
	}
	if err := f.Check(); err != nil {
		return f, &failure{badData, err}
	}
	return f, nil
}

// render sends an answer in its form.
func (c common) render(out *answer, value parser.Value, notes annotations.Annotations) error {
	if value.Type() == parser.ValueTypeString {
		return &failure{badData, errors.New("the answer is a text and no series: ask for numbers, or leave out the parameter \"format\"")}
	}
	warnings, infos := notes.AsStrings(c.expr, 10, 10)
	for _, warning := range warnings {
		quoted := strconv.QuoteToASCII(warning)
		out.w.Header().Add(warningHeader, quoted[:min(len(quoted), 500)])
	}
	out.contentType = c.form.Format.ContentType()
	answer := display.Answer{
		Rows: query.Answer{Value: value}.Rows(), Instant: c.form.instant, Step: c.form.step, Unit: query.UnitOf(c.expr), Warnings: warnings, Infos: infos,
	}
	err := display.Render(bodyWriter{out}, answer, c.form.Options)
	if err != nil && out.err == nil { // the view does not fit the answer, of which nothing was written
		out.contentType = ""
		return &failure{badData, err}
	}
	return err
}

// bodyWriter sends bytes as they are, piece by piece.
type bodyWriter struct{ out *answer }

func (w bodyWriter) Write(p []byte) (int, error) {
	w.out.buf = append(w.out.buf, p...)
	return len(p), w.out.flow()
}
