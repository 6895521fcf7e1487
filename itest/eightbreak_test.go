package itest_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// answerWithin is the longest that an answer may take: 2 s for what hosts tell of their series and 10 s for their values, on
	// a machine that may be busy.
	answerWithin = (2 + 10 + 18) * time.Second
	// askEvery is how long there is between two questions to one controller.
	askEvery = 100 * time.Millisecond
)

// heard is how one question ended.
type heard struct {
	controller string
	began      time.Time
	took       time.Duration
	// hosts are those in the answer, in order.
	hosts    []string
	warnings []string
	err      error
}

// asker asks all controllers all the time.
type asker struct {
	stop context.CancelFunc
	done sync.WaitGroup
	mu   sync.Mutex
	all  []heard
}

func (e *eight) keepAsking() *asker {
	ctx, stop := context.WithCancel(e.ctx)
	a := &asker{stop: stop}
	for _, controller := range threeControllers() {
		a.done.Go(func() {
			tick := time.NewTicker(askEvery)
			defer tick.Stop()
			for ctx.Err() == nil {
				a.note(e.ask(controller))
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return a
}

func (a *asker) note(h heard) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, h)
}

func (a *asker) heard() []heard {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

func (a *asker) end() []heard {
	a.stop()
	a.done.Wait()
	return a.heard()
}

// ask is one question for the CPU of all hosts now.
func (e *eight) ask(controller string) heard {
	ctx, cancel := context.WithTimeout(e.ctx, 2*answerWithin)
	defer cancel()
	h := heard{controller: controller, began: time.Now()}
	answer, err := e.client.Query(ctx, e.addresses[controller], "query", url.Values{"query": {`sum by (host) (rate(host_cpu_seconds_total[5m]))`}})
	h.took, h.err, h.warnings = time.Since(h.began), err, answer.Warnings
	for _, s := range answer.Series {
		h.hosts = append(h.hosts, s.Labels["host"])
	}
	slices.Sort(h.hosts)
	return h
}

// lacks says whether an answer is of all hosts but these, and warns of them.
func (h heard) lacks(missing []string) bool {
	there := slices.DeleteFunc(eightHosts(), func(host string) bool { return slices.Contains(missing, host) })
	if !slices.Equal(h.hosts, there) || h.err != nil || (len(h.warnings) > 0) != (len(missing) > 0) {
		return false
	}
	told := strings.Join(h.warnings, "\n")
	return len(missing) == 0 || strings.Contains(told, fmt.Sprintf("%d of 8 hosts did not answer, and their series are missing: %s (", len(missing), strings.Join(missing, ", ")))
}

// missing waits until each controller has answered a question without these hosts, asked after now.
func (e *eight) missing(a *asker, hosts ...string) {
	e.t.Helper()
	now := time.Now()
	require.NoError(e.t, e.Await(e.ctx, fmt.Sprintf("answers that lack %v", hosts), func(context.Context) error {
		ok, last := map[string]bool{}, map[string]heard{}
		for _, h := range a.heard() {
			if !h.began.Before(now) {
				last[h.controller] = h
				ok[h.controller] = ok[h.controller] || h.lacks(hosts)
			}
		}
		for _, controller := range threeControllers() {
			if !ok[controller] {
				return &lacking{fmt.Sprintf("%s: %+v", controller, last[controller])}
			}
		}
		return nil
	}))
	e.t.Logf("%s: all controllers answered without %v", time.Since(now).Round(10*time.Millisecond), hosts)
}

// breakWhileAsked cuts a host off, hangs an agent and kills one while all controllers are asked, then mends them.
func (e *eight) breakWhileAsked() {
	before := e.held()
	a := e.keepAsking()
	defer a.end()
	e.missing(a)

	require.NoError(e.t, e.Kill(e.ctx, "h4"))
	e.missing(a, "h4")
	cut, err := e.Lab.Host("h2")
	require.NoError(e.t, err)
	require.NoError(e.t, cut.Partition(e.ctx, true))
	require.NoError(e.t, e.Signal("h3", syscall.SIGSTOP))
	e.missing(a, "h2", "h3", "h4")
	e.completeIsRefused("h2, h3, h4")

	require.NoError(e.t, cut.Partition(e.ctx, false))
	require.NoError(e.t, e.Thaw(e.ctx, "h3"))
	require.NoError(e.t, e.Start(e.ctx, "h4"))
	e.missing(a)

	all, slowest := a.end(), time.Duration(0)
	for _, h := range all {
		require.NoError(e.t, h.err, "%+v", h)
		slowest = max(slowest, h.took)
	}
	e.t.Logf("%d answers, the slowest in %s", len(all), slowest.Round(time.Millisecond))
	require.Less(e.t, slowest, answerWithin)
	e.returnsTo(before)
}

// completeIsRefused asks for whole answers.
func (e *eight) completeIsRefused(named string) {
	e.t.Helper()
	result := e.CLI(e.ctx, "metric", "query", `count(host_cpus)`, "--complete")
	require.Equal(e.t, 1, result.Code, result.Out)
	require.Contains(e.t, result.Err, named)
	path, form := moment{unix(time.Now()), 1}.parameters(`count(host_cpus)`)
	code, text, err := e.client.Get(e.ctx, e.addresses["c2"], "/api/v1/"+path+"?"+form.Encode())
	require.NoError(e.t, err)
	require.Equal(e.t, http.StatusServiceUnavailable, code, "%s", text)
	require.Contains(e.t, string(text), named)
}

// use is what a process holds.
type use struct{ goroutines, heap float64 }

// held is what all controllers hold together: an agent that was away may come back to another one.
func (e *eight) held() use {
	e.t.Helper()
	sum, err := e.heldNow(e.ctx)
	require.NoError(e.t, err)
	return sum
}

func (e *eight) heldNow(ctx context.Context) (sum use, err error) {
	for _, controller := range threeControllers() {
		_, text, err := e.client.Get(ctx, e.addresses[controller], "/metrics")
		if err != nil {
			return sum, err
		}
		told := gauges(text)
		sum.goroutines += told["go_goroutines"]
		sum.heap += told["go_memstats_heap_alloc_bytes"]
	}
	if sum.goroutines == 0 || sum.heap == 0 {
		return sum, fmt.Errorf("the controllers do not tell what they hold: %+v", sum)
	}
	return sum, nil
}

// gauges are what a process tells of itself, by name and labels.
func gauges(text []byte) map[string]float64 {
	all := map[string]float64{}
	for _, line := range regexp.MustCompile(`(?m)^([^#\s]\S*) (\S+)$`).FindAllSubmatch(text, -1) {
		if v, err := strconv.ParseFloat(string(line[2]), 64); err == nil {
			all[string(line[1])] = v
		}
	}
	return all
}

// returnsTo waits until the controllers hold about what they held before. What is collected as garbage now and then counts
// when it is least.
func (e *eight) returnsTo(before use) {
	e.t.Helper()
	least := use{math.Inf(1), math.Inf(1)}
	require.NoError(e.t, e.Await(e.ctx, "the controllers to hold what they held", func(ctx context.Context) error {
		now, err := e.heldNow(ctx)
		if err != nil {
			return err
		}
		least = use{min(least.goroutines, now.goroutines), min(least.heap, now.heap)}
		if least.goroutines > before.goroutines+24 || least.heap > 1.2*before.heap+(8<<20) {
			return &lacking{fmt.Sprintf("%+v, before %+v", now, before)}
		}
		return nil
	}))
	e.t.Logf("held before %+v, after %+v", before, least)
}
