package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"

	"github.com/novacron/novacron/tsdb/federate/explore"
)

// cardinalityRow is a group of series. What was not asked for is left out.
type cardinalityRow struct {
	Name         string  `json:"name"`
	Series       uint64  `json:"series"`
	SeriesBefore uint64  `json:"seriesBefore"`
	Values       *uint64 `json:"values,omitempty"`
	ValuesBefore *uint64 `json:"valuesBefore,omitempty"`
	Left         *uint64 `json:"left,omitempty"`
	LeftBefore   *uint64 `json:"leftBefore,omitempty"`
	Estimated    bool    `json:"estimated,omitempty"`
}

// cardinalityFinding is which label made a metric grow.
type cardinalityFinding struct {
	Metric      string  `json:"metric"`
	Label       string  `json:"label"`
	Values      uint64  `json:"values"`
	Series      uint64  `json:"series"`
	Left        uint64  `json:"left"`
	GrowthShare float64 `json:"growthShare"`
	Text        string  `json:"text"`
}

// cardinality tells where series come from; this is not of Prometheus.
func (a *api) cardinality(out *answer, r *http.Request) error {
	if a.Explore == nil {
		return &failure{notFound, errors.New("cardinality is not told here")}
	}
	ask := explore.Ask{Selector: r.FormValue("match[]"), By: r.FormValue("by"), Drop: r.FormValue("drop"), Now: a.Now()}
	var err error
	if ask.Top, err = limitParam(r, "limit", 1, explore.DefaultTop); err != nil {
		return err
	}
	if len(r.Form["match[]"]) > 1 {
		return badParam("match[]", fmt.Errorf("%d selectors: give one", len(r.Form["match[]"])))
	}
	if text := r.FormValue("since"); text != "" {
		if ask.Since, err = parseDuration(text); err != nil {
			return badParam("since", err)
		}
	}
	if err := ask.Check(); err != nil {
		return badAsk(err)
	}
	ctx, notes := listen(r)
	got, err := a.Explore(ctx, ask)
	if err != nil {
		return err
	}
	groups := make([]cardinalityRow, 0, len(got.Rows))
	for i := range got.Rows {
		groups = append(groups, rowOf(&got.Rows[i], ask))
	}
	findings := make([]cardinalityFinding, 0, len(got.Findings))
	for _, f := range got.Findings {
		findings = append(findings, cardinalityFinding{f.Metric, f.Label, f.Values, f.Series, f.Left, f.GrowthShare, f.String()})
	}
	for _, text := range got.Warnings {
		Warn(ctx, text)
	}
	return out.warned(struct {
		Series       uint64               `json:"series"`
		SeriesBefore uint64               `json:"seriesBefore"`
		Groups       []cardinalityRow     `json:"groups"`
		GroupCount   int                  `json:"groupCount"`
		Findings     []cardinalityFinding `json:"findings"`
	}{got.Total.Series, got.Total.SeriesBefore, groups, got.Groups, findings}, notes)
}

// badAsk names the parameter that makes no sense as it is called here.
func badAsk(err error) error {
	var wrong *explore.AskError
	if !errors.As(err, &wrong) {
		return &failure{badData, err}
	}
	names := map[string]string{"selector": "match[]", "top": "limit"}
	return badParam(cmp.Or(names[wrong.Field], wrong.Field), wrong.Why)
}

func rowOf(row *explore.Row, ask explore.Ask) cardinalityRow {
	out := cardinalityRow{Name: row.Name, Series: row.Series, SeriesBefore: row.SeriesBefore, Estimated: row.Estimated}
	if ask.By == explore.ByLabel {
		out.Values, out.ValuesBefore = &row.Values, &row.ValuesBefore
	}
	if ask.By == explore.ByLabel || ask.Drop != "" {
		out.Left, out.LeftBefore = &row.Left, &row.LeftBefore
	}
	return out
}
