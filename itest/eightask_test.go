package itest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/env"
	"github.com/novacron/novacron/itest/lab"
)

// questions are asked of the cluster; merge makes its answer of what the hosts say to part, which is the same where it is
// left out.
var questions = []struct {
	expr, part string
	merge      func(series) series
}{
	{expr: `sum by (host) (rate(host_cpu_seconds_total[2m]))`},
	{expr: `vm_cpu_seconds_total`},
	{expr: `host_cpu_seconds_total{mode="user"}`},
	{
		expr: `topk(2, sum by (vm_name) (rate(vm_cpu_seconds_total[2m])))`, part: `sum by (vm_name) (rate(vm_cpu_seconds_total[2m]))`,
		merge: func(all series) series { return all.first(2) },
	},
	{
		expr: `quantile(0.9, rate(host_cpu_seconds_total[2m]))`, part: `rate(host_cpu_seconds_total[2m])`,
		merge: func(all series) series { return all.quantile(0.9) },
	},
}

// answerAsOne holds the answers of each controller to what the hosts' own APIs say.
func (e *eight) answerAsOne() {
	at := e.collected(longAgo(), 3)
	for _, m := range []moment{{at, 1}, {at, 240}} {
		for _, q := range questions {
			part := q.part
			if part == "" {
				part = q.expr
			}
			want := e.asked(m, part, eightHosts()...)
			require.NotEmpty(e.t, want, q.expr)
			if q.merge != nil {
				want = q.merge(want)
			}
			for _, controller := range threeControllers() {
				requireSame(e.t, want, e.asked(m, q.expr, controller), fmt.Sprintf("%s at %d times, of %s", q.expr, m.steps, controller))
			}
		}
	}
	for labels, points := range e.asked(moment{at, 240}, questions[0].expr, "c1") {
		require.Greater(e.t, len(points), 10, "%s has a value of each second since its second collection", labels)
	}
	e.pruned()
	e.analyzed()
	e.promtoolSays(at)
}

// byTime are the values at each time.
func (all series) byTime() map[float64]map[string]float64 {
	times := map[float64]map[string]float64{}
	for labels, points := range all {
		for at, v := range points {
			if times[at] == nil {
				times[at] = map[string]float64{}
			}
			times[at][labels] = v
		}
	}
	return times
}

// first keeps the greatest values of each time.
func (all series) first(n int) series {
	kept := series{}
	for at, values := range all.byTime() {
		var sorted []float64
		for _, v := range values {
			sorted = append(sorted, v)
		}
		slices.Sort(sorted)
		least := sorted[max(0, len(sorted)-n)]
		for labels, v := range values {
			if v >= least {
				if kept[labels] == nil {
					kept[labels] = map[float64]float64{}
				}
				kept[labels][at] = v
			}
		}
	}
	return kept
}

// quantile is that of PromQL: between two values in proportion.
func (all series) quantile(q float64) series {
	points := map[float64]float64{}
	for at, values := range all.byTime() {
		var sorted []float64
		for _, v := range values {
			sorted = append(sorted, v)
		}
		slices.Sort(sorted)
		rank := q * float64(len(sorted)-1)
		low, part := int(rank), rank-math.Floor(rank)
		points[at] = sorted[low]*(1-part) + sorted[min(low+1, len(sorted)-1)]*part
	}
	return series{fmt.Sprint(map[string]string{}): points}
}

// requireSame insists on the same series, times and values, but for the last digits.
func requireSame(t *testing.T, want, got series, what string) {
	t.Helper()
	require.Len(t, got, len(want), what)
	for labels, points := range want {
		require.Len(t, got[labels], len(points), "%s: %s", what, labels)
		for at, v := range points {
			require.Contains(t, got[labels], at, "%s: %s", what, labels)
			require.InDelta(t, v, got[labels][at], 1e-9*math.Abs(v), "%s: %s at %f", what, labels, at)
		}
	}
}

// plan is what --explain tells.
type plan struct {
	AskedHosts, PrunedHosts []string
}

func (e *eight) explained(ctx context.Context, expr string) (p plan, err error) {
	result := e.CLI(ctx, "metric", "query", expr, "--explain", "-o", "json")
	if result.Code != 0 {
		return p, &lacking{result.Err}
	}
	return p, json.Unmarshal([]byte(result.Out), &p)
}

// pruned looks at who is asked: all hosts for what all have, one for a guest that it alone has.
func (e *eight) pruned() {
	e.t.Helper()
	for expr, want := range map[string][]string{
		`sum by (host) (rate(host_cpu_seconds_total[5m]))`:     eightHosts(),
		`sum(rate(vm_cpu_seconds_total{vm_name="web-2"}[5m]))`: {"h2"},
	} {
		require.NoError(e.t, e.Await(e.ctx, "hosts to have told which series they have", func(ctx context.Context) error {
			p, err := e.explained(ctx, expr)
			if err == nil && (!slices.Equal(p.AskedHosts, want) || len(p.PrunedHosts) != 8-len(want)) {
				err = &lacking{fmt.Sprintf("%s: %+v", expr, p)}
			}
			return err
		}))
	}
}

// analyzed looks at what is told of a question that all hosts are asked: the plan, and what it takes, by host.
func (e *eight) analyzed() {
	e.t.Helper()
	require.Contains(e.t, e.must("metric", "query", `sum(rate(host_cpu_seconds_total[5m]))`, "--explain", "-o", "wide"), "8 asked: "+strings.Join(eightHosts(), ", "))
	var took struct {
		Hosts []struct{ Name, Samples string }
	}
	require.NoError(e.t, json.Unmarshal([]byte(e.must("metric", "query", `sum(rate(host_cpu_seconds_total[5m]))`, "--analyze", "-o", "json")), &took))
	var names []string
	for _, host := range took.Hosts {
		require.NotEmpty(e.t, host.Samples, "%s read some", host.Name)
		names = append(names, host.Name)
	}
	slices.Sort(names)
	require.Equal(e.t, eightHosts(), names)
}

// promtoolSays asks a controller with Debian's promtool. That knows no certificates, so that it asks through a proxy which has one.
func (e *eight) promtoolSays(at float64) {
	e.t.Helper()
	promtool, err := lab.Program(e.ctx, "prometheus", "usr/bin/promtool")
	require.NoError(e.t, err)
	controller, err := url.Parse("https://" + e.addresses["c3"])
	require.NoError(e.t, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Transport: e.client.HTTP.Transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(controller) }})
	defer proxy.Close()
	const expr = `sum by (host) (rate(host_cpu_seconds_total[2m]))`
	out, err := exec.CommandContext(e.ctx, promtool, "query", "instant", "-o", "json", "--time="+seconds(at), proxy.URL, expr).Output()
	require.NoError(e.t, err)
	answer, err := env.ParseAnswer(fmt.Appendf(nil, `{"data":{"result":%s}}`, out))
	require.NoError(e.t, err)
	said := series{}
	for _, s := range answer.Series {
		said.add(s)
	}
	requireSame(e.t, e.asked(moment{at, 1}, expr, eightHosts()...), said, "promtool")
}
