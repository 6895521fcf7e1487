package query

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/sim"
)

// question is one expression at one time, or at many.
type question struct {
	name, expr string
	// steps is how many times are asked for, 1 for an instant.
	steps int
}

// between is how long after a scrape questions ask: Debian's Prometheus, which is older than the change of ranges in its
// third version, also counts a sample that lies where a range begins.
const between = time.Second

// parameters are those of the HTTP API for the newest samples of the workload.
func (q question) parameters(w sim.Workload) string {
	form, end := url.Values{"query": {q.expr}, "partial_response": {"0"}}, w.End().Add(between)
	if q.steps == 1 {
		form.Set("time", seconds(end))
		return "/api/v1/query?" + form.Encode()
	}
	form.Set("start", seconds(end.Add(-time.Duration(q.steps-1)*w.Interval)))
	form.Set("end", seconds(end))
	form.Set("step", strconv.Itoa(int(w.Interval.Seconds())))
	return "/api/v1/query_range?" + form.Encode()
}

func seconds(t time.Time) string { return fmt.Sprintf("%.3f", float64(t.UnixMilli())/1000) }

// client asks without compression, which is about the network and not about queries.
var client = &http.Client{Transport: &http.Transport{DisableCompression: true}}

// ask reads an answer to its end.
func ask(t *testing.T, url string) []byte {
	t.Helper()
	answer, err := client.Get(url)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode, "%s", text)
	return text
}

// series are the values of an answer by labels and time.
type series map[string]map[float64]float64

func parse(t *testing.T, text []byte) series {
	t.Helper()
	var answer struct {
		Warnings []string
		Data     struct {
			Result []struct {
				Metric map[string]string
				Value  []any
				Values [][]any
			}
		}
	}
	require.NoError(t, json.Unmarshal(text, &answer))
	require.Empty(t, answer.Warnings)
	all := series{}
	for _, one := range answer.Data.Result {
		if one.Value != nil {
			one.Values = append(one.Values, one.Value)
		}
		points := map[float64]float64{}
		for _, p := range one.Values {
			v, err := strconv.ParseFloat(p[1].(string), 64)
			require.NoError(t, err)
			points[p[0].(float64)] = v
		}
		all[fmt.Sprint(one.Metric)] = points
	}
	return all
}

// requireSame insists on the same series with the same values, but for the last digits of sums.
func requireSame(t *testing.T, q question, ours, theirs series) {
	t.Helper()
	require.NotEmpty(t, theirs, q)
	require.Len(t, ours, len(theirs), q)
	for name, points := range theirs {
		require.Len(t, ours[name], len(points), "%v %s", q, name)
		for at, v := range points {
			require.InDelta(t, v, ours[name][at], 1e-9*math.Abs(v), "%v %s", q, name)
		}
	}
}
