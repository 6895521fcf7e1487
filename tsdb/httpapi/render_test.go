package httpapi

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestForms(t *testing.T) {
	api := fixture(t, nil)
	times := []string{"query", `rate(vm_cpu_seconds_total[1m])`, "start", "1699999700", "end", "1700000000", "step", "15"}

	got := ask(t, api, "/api/v1/query_range?"+params(append(times, "format", "uplot", "max_points", "10")...), "")
	require.Equal(t, http.StatusOK, got.code, got.body)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	var chart struct {
		View   string
		Series []struct{ Label string }
		Data   [][]float64
	}
	require.NoError(t, json.Unmarshal([]byte(got.body), &chart), got.body)
	require.Equal(t, "timeseries", chart.View)
	require.Len(t, chart.Series, 3)
	require.Len(t, chart.Data, 4)
	for _, column := range chart.Data {
		require.Len(t, column, 10)
	}

	got = ask(t, api, "/api/v1/query", params("query", "vm_cpu_seconds_total", "format", "csv", "view", "bar", "top", "1"))
	require.Equal(t, http.StatusOK, got.code, got.body)
	require.Equal(t, "text/csv; charset=utf-8", got.header.Get("Content-Type"))
	require.Equal(t, "series,value,time,min,max,__name__,host,vm_name\n"+
		`"vm_cpu_seconds_total{host=""h1"", vm_name=""web-2""}",121,2023-11-14T22:13:20Z,121,121,vm_cpu_seconds_total,h1,web-2`+"\n", got.body)

	got = ask(t, api, "/api/v1/query_range?"+params(append(times, "format", "parquet")...), "")
	require.Equal(t, http.StatusOK, got.code)
	require.Equal(t, "application/vnd.apache.parquet", got.header.Get("Content-Type"))
	require.Equal(t, "PAR1", got.body[:4])
	require.Equal(t, "PAR1", got.body[len(got.body)-4:])
}

func TestFormsThatDoNotFit(t *testing.T) {
	api := fixture(t, nil)
	for _, c := range [][]string{
		{"format", "gif", "format: \"gif\" is none: use prometheus, uplot"},
		{"format", "uplot", "uplot has no view table: it has timeseries", "view", "table"},
		{"format", "uplot", "invalid parameter \"max_points\"", "max_points", "many"},
		{"format", "uplot", "max_points: 2: allowed are 0 (all) and 4", "max_points", "2"},
		{"format", "echarts", "the answer has no histograms", "view", "heatmap"},
	} {
		query := append([]string{"query", "vm_cpu_seconds_total"}, c[:2]...)
		kind, text := ask(t, api, "/api/v1/query?"+params(append(query, c[3:]...)...), "").failed(t)
		require.Equal(t, "bad_data", kind)
		require.Contains(t, text, c[2])
	}
	_, text := ask(t, api, "/api/v1/query?"+params("query", `"text"`, "format", "csv"), "").failed(t)
	require.Contains(t, text, "the answer is a text")
}

func TestFormsTellOfWarnings(t *testing.T) {
	api := fixture(t, nil)
	got := ask(t, api, "/api/v1/query?"+params("query", "vm_cpu_seconds_total", "format", "csv", "limit", "1"), "")
	require.Equal(t, http.StatusOK, got.code)
	require.Equal(t, `"results truncated due to limit"`, got.header.Get(warningHeader))
	got = ask(t, api, "/api/v1/query?"+params("query", "vm_cpu_seconds_total", "format", "echarts", "limit", "1"), "")
	require.Contains(t, got.body, `"warnings":["results truncated due to limit"]`)
}
