package itest_test

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/env"
)

// eight is a cluster of three controllers and eight hosts with a libvirt each; three of them run a guest.
type eight struct {
	*fleet
	client *env.Client
	// addresses are the APIs of all members.
	addresses map[string]string
}

// collectionWait bounds the wait for two or three collections, of which there is one every 15 s, on a machine that may be busy.
const collectionWait = 3 * time.Minute

func eightHosts() (names []string) {
	for n := range 8 {
		names = append(names, fmt.Sprintf("h%d", n+1))
	}
	return names
}

func threeControllers() []string { return []string{"c1", "c2", "c3"} }

// guests are on one host each.
func guests() map[string]string {
	return map[string]string{"web-1": "h1", "web-2": "h2", "web-3": "h3"}
}

// TestEightRealHosts breaks some hosts while all are asked, has what they store sent on, and holds the answers of the cluster
// to those of the hosts: each on its own libvirt, with guests that run.
func TestEightRealHosts(t *testing.T) {
	e := startEight(t)
	e.boot()
	s := e.sendOn()
	e.collected(longAgo(), 2)
	for guest := range guests() {
		e.requirePhase(guest, "running")
	}
	t.Run("break while they are asked", func(t *testing.T) { e.in(t).breakWhileAsked() })
	t.Run("send on what they store", func(t *testing.T) { e.in(t).arrive(s) })
	t.Run("answer as one", func(t *testing.T) { e.in(t).answerAsOne() })
}

// longAgo is before anything was stored.
func longAgo() time.Time { return time.Now().Add(-time.Hour) }

func startEight(t *testing.T) *eight {
	t.Helper()
	plan := fleetPlan{controllers: threeControllers(), agents: eightHosts(), waits: collectionWait}
	e := &eight{fleet: startFleetAt(t, plan), addresses: map[string]string{}}
	var err error
	e.client, err = e.Admin("c1")
	require.NoError(t, err)
	t.Cleanup(e.client.HTTP.CloseIdleConnections)
	for _, member := range append(threeControllers(), eightHosts()...) {
		e.addresses[member], err = e.Address(member)
		require.NoError(t, err)
	}
	return e
}

// in is the same cluster for a part of the test.
func (e *eight) in(t *testing.T) *eight {
	t.Helper()
	part, running := *e, *e.fleet
	running.t, part.fleet = t, &running
	return &part
}

func (e *eight) boot() {
	e.t.Helper()
	for name, host := range guests() {
		e.must(createArgs(name, "--host", host, "--no-wait")...)
	}
}

// moment is when a question is asked for: at one time, or every second up to it.
type moment struct {
	at    float64
	steps int
}

func (m moment) parameters(expr string) (path string, form url.Values) {
	form = url.Values{"query": {expr}, "partial_response": {"0"}}
	if m.steps == 1 {
		form.Set("time", seconds(m.at))
		return "query", form
	}
	form.Set("start", seconds(m.at-float64(m.steps-1)))
	form.Set("end", seconds(m.at))
	form.Set("step", "1")
	return "query_range", form
}

func seconds(at float64) string { return strconv.FormatFloat(at, 'f', 3, 64) }

// series are the values of an answer by labels, as fmt prints a map, and by time.
type series map[string]map[float64]float64

func (all series) add(s env.Series) {
	points := map[float64]float64{}
	for i, at := range s.Times {
		points[at] = s.Values[i]
	}
	all[fmt.Sprint(s.Labels)] = points
}

// asked is what some members say to one question, together: no two may have the same series.
func (e *eight) asked(m moment, expr string, members ...string) series {
	e.t.Helper()
	all, found := series{}, 0
	for _, member := range members {
		path, form := m.parameters(expr)
		answer, err := e.client.Query(e.ctx, e.addresses[member], path, form)
		require.NoError(e.t, err, "%s of %s", expr, member)
		require.Empty(e.t, answer.Warnings, "%s of %s", expr, member)
		for _, s := range answer.Series {
			all.add(s)
		}
		found += len(answer.Series)
	}
	require.Len(e.t, all, found, "%s: two members have the same series", expr)
	return all
}

// number is the one value that a member answers, if there is one.
func (e *eight) number(ctx context.Context, member, expr string, when time.Time) (v float64, told bool, err error) {
	path, form := moment{unix(when), 1}.parameters(expr)
	answer, err := e.client.Query(ctx, e.addresses[member], path, form)
	if err != nil || len(answer.Series) != 1 {
		return 0, false, err
	}
	return answer.Series[0].Values[0], true, nil
}

// cpuTimes are the series that the tests look at, of hosts and of guests.
const cpuTimes = `{__name__=~"host_cpu_seconds_total|vm_cpu_seconds_total"}`

// collected waits until every host has measured itself and its guests so many times since a time, and returns a time after it
// up to which nothing is stored any more: that of the last sample of the series whose last sample is the oldest.
func (e *eight) collected(since time.Time, times int) (at float64) {
	e.t.Helper()
	require.NoError(e.t, e.Await(e.ctx, "collections of all hosts", func(ctx context.Context) (err error) {
		now := time.Now()
		for expr, want := range map[string]float64{
			`count(count by (host) (host_cpu_seconds_total))`: 8,
			`count(vm_cpu_seconds_total)`:                     3,
			fmt.Sprintf(`count(%[1]s) - count(count_over_time(%[1]s[%[2]dms]) >= %[3]d)`, cpuTimes, now.Sub(since).Milliseconds()+1, times): 0,
		} {
			got, told, err := e.number(ctx, "c1", expr, now)
			if err != nil {
				return err
			}
			if !told || got != want {
				return &lacking{fmt.Sprintf("%s is %v, told: %t", expr, got, told)}
			}
		}
		at, _, err = e.number(ctx, "c1", fmt.Sprintf("min(timestamp(%s))", cpuTimes), now)
		return err
	}))
	require.Greater(e.t, at, unix(since))
	return at
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
