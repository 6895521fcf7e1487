package explore

import novacronv1 "github.com/novacron/novacron/proto/novacron/v1"

// Proto is the answer as the API has it.
func (a Answer) Proto() *novacronv1.ExploreCardinalityResponse {
	out := &novacronv1.ExploreCardinalityResponse{Series: a.Total.Series, SeriesBefore: a.Total.SeriesBefore, GroupCount: uint64(a.Groups), Warnings: a.Warnings}
	for i := range a.Rows {
		row := &a.Rows[i]
		out.Groups = append(out.Groups, &novacronv1.CardinalityCount{
			Name: row.Name, Series: row.Series, SeriesBefore: row.SeriesBefore, Values: row.Values, ValuesBefore: row.ValuesBefore,
			Left: row.Left, LeftBefore: row.LeftBefore, Estimated: row.Estimated,
		})
	}
	for _, f := range a.Findings {
		out.Findings = append(out.Findings, &novacronv1.CardinalityFinding{
			Metric: f.Metric, Label: f.Label, Values: f.Values, Series: f.Series, SeriesBefore: f.SeriesBefore, Left: f.Left,
			GrowthShare: f.GrowthShare, Text: f.String(),
		})
	}
	return out
}
