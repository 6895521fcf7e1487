package forward

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
)

// everything is some of all there is to send.
func everything(t int64) Stored {
	orders, wait := labels.FromStrings("__name__", "orders_total", "zone", "a"), labels.FromStrings("__name__", "wait_seconds", "cluster", "own")
	buckets := labels.FromStrings("__name__", "wait_seconds_bucket", "le", "1")
	return Stored{
		Points: []Point{
			{Ref: 1, Labels: orders, T: t, ST: t - 1000, V: 5},
			{Ref: 2, Labels: wait, T: t, ST: t - 500, Histogram: someHistogram(1)},
			{Ref: 1, Labels: orders, T: t + 1, V: math.Float64frombits(value.StaleNaN)},
			{Ref: 3, Labels: buckets, T: t, V: math.Inf(-1)},
			{Ref: 2, Labels: wait, T: t + 1, Histogram: someHistogram(2)},
		},
		Examples: []Example{{Ref: 3, Labels: buckets, Exemplar: exemplar.Exemplar{Labels: labels.FromStrings("trace_id", "x"), Value: 0.5, Ts: t, HasTs: true}}},
	}
}

func TestEverythingArrivesInBothVersions(t *testing.T) {
	for _, version := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(w *world) {
				w.target.Protocol = version
				w.target.External = map[string]string{"cluster": "c1", "site": "x"}
				w.target.Headers = map[string]string{"X-Scope-OrgID": "us"}
			})
			defer w.close()
			stored := everything(1000)
			w.set.Stored(stored)
			pass(6 * time.Second)

			want := sent(stored.Points)
			want = append(want, got{series: stored.Examples[0].Labels.String(), t: 1000, bits: math.Float64bits(0.5), exemplar: `{trace_id="x"}`})
			for i := range want {
				if version == 1 {
					want[i].st = 0
				}
				name := map[bool]string{true: `{__name__="orders_total", cluster="c1", site="x", zone="a"}`, false: `{__name__="wait_seconds_bucket", cluster="c1", le="1", site="x"}`}[want[i].bits != 0 && want[i].t != 1000 || want[i].bits == math.Float64bits(5)]
				if want[i].histogram != "" {
					name = `{__name__="wait_seconds", cluster="own", site="x"}`
				}
				want[i].series = name
			}
			require.ElementsMatch(t, want, w.remote.all())
			require.Equal(t, "us", w.remote.headers.Get("X-Scope-OrgID"))
			require.Equal(t, "snappy", w.remote.headers.Get("Content-Encoding"))
			if version == 2 {
				require.Equal(t, map[string]string{
					`{__name__="wait_seconds", cluster="own", site="x"}`:               "3 How long. seconds",
					`{__name__="wait_seconds_bucket", cluster="c1", le="1", site="x"}`: "3 How long. seconds",
				}, w.remote.about)
			}
			s := w.status()
			require.Equal(t, Status{
				Name: "mimir", ID: 7, Generation: 1, QueueBytes: s.QueueBytes, Sent: 5, Exemplars: 1, Requests: 1, Bytes: s.Bytes, Shards: 1, Protocol: version,
				Success: s.Success, Dropped: map[string]int64{},
			}, s)
		})
	}
}

func TestOnlyWhatMatchesIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.target.Match = []string{`orders_total`, `{le!=""}`} })
		defer w.close()
		w.set.Stored(everything(1000))
		pass(6 * time.Second)
		require.Len(t, w.remote.all(), 4)
		w.target.Match, w.target.Generation = []string{`{__name__=~"wait_seconds|none"}`}, 2
		w.set.Configure([]Target{w.target})
		w.set.Stored(everything(2000))
		pass(6 * time.Second)
		require.Len(t, w.remote.all(), 6)
	})
}

// TestBatches holds that requests are bounded in samples and bytes, and wait no longer than they may.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.limits = Limits{Samples: 100, Bytes: 4000} })
		defer w.close()
		w.set.Stored(floats(1000, 1))
		pass(time.Millisecond)
		require.Len(t, w.remote.all(), 1000, "what is full does not wait")
		require.Less(t, w.remote.largest, 4000)
		w.set.Stored(floats(3, 2))
		pass(4 * time.Second)
		require.Len(t, w.remote.all(), 1000)
		require.Equal(t, 4*time.Second, w.status().Lag.Round(time.Second))
		pass(1001 * time.Millisecond)
		require.Len(t, w.remote.all(), 1003)
		require.Zero(t, w.status().Lag)
		require.Zero(t, w.status().Pending)
	})
}

// TestRemotesThatFail goes through all that a remote can do; nothing is lost but what it refuses.
func TestRemotesThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		answer   func(n, version int, ctx context.Context) *http.Response
		within   time.Duration
		retried  int64
		refused  int64
		versions []int
		says     string
	}{
		"500s": {func(n, _ int, _ context.Context) *http.Response {
			if n <= 3 {
				return respond(500, "no room\x1b[31m")
			}
			return accepted()
		}, 2 * time.Second, 3, 0, []int{2, 2, 2, 2}, ""},
		"429": {func(n, _ int, _ context.Context) *http.Response {
			if n == 1 {
				return respond(429, "slow down", "Retry-After", "60")
			}
			return accepted()
		}, 61 * time.Second, 1, 0, []int{2, 2}, ""},
		"400": {func(int, int, context.Context) *http.Response { return respond(400, "out of order sample\n") }, 0, 0, 10, []int{2}, "400 Bad Request: out of order sample"},
		"400 in part": {func(int, int, context.Context) *http.Response {
			return respond(400, "some", "X-Prometheus-Remote-Write-Samples-Written", "8")
		}, 0, 0, 2, []int{2}, "some"},
		"415": {func(_, version int, _ context.Context) *http.Response {
			if version == 2 {
				return respond(415, "what is that")
			}
			return respond(200, "")
		}, 0, 0, 0, []int{2, 1}, ""},
		"1.0 that looks at no type": {func(int, int, context.Context) *http.Response { return respond(204, "") }, 0, 0, 0, []int{2, 1}, ""},
		"415 to both":               {func(int, int, context.Context) *http.Response { return respond(415, "never") }, 0, 0, 10, []int{2, 1}, "never"},
		"hangs": {func(n, _ int, ctx context.Context) *http.Response {
			if n == 1 {
				<-ctx.Done()
			}
			return accepted()
		}, 31 * time.Second, 1, 0, []int{2, 2}, ""},
		"slow": {func(int, int, context.Context) *http.Response { <-time.After(29 * time.Second); return accepted() }, 30 * time.Second, 0, 0, []int{2}, ""},
		"redirects": {func(n, _ int, _ context.Context) *http.Response {
			if n == 1 {
				return respond(302, "", "Location", "https://user:secret@else.invalid/x?token=1")
			}
			return accepted()
		}, time.Second, 1, 0, []int{2, 2}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(w *world) { w.remote.answer = c.answer })
				defer w.close()
				w.set.Stored(floats(10, 1))
				pass(5001*time.Millisecond + c.within)
				s := w.status()
				require.Equal(t, c.versions, w.remote.versions)
				require.Equal(t, c.retried, s.Retried)
				require.Equal(t, c.refused, s.Dropped[ReasonRefused])
				require.Equal(t, 10-c.refused, s.Sent)
				require.Zero(t, s.Pending)
				require.Contains(t, s.Error, c.says)
				if c.says == "" {
					require.Empty(t, s.Error)
				}
			})
		})
	}
}

// TestHoursDown stores for six hours while the remote is down: storing does not wait, and all arrives in order after.
func TestHoursDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		w := newWorld(t, func(w *world) {
			w.remote.answer = func(int, int, context.Context) *http.Response {
				if down {
					return respond(503, "down")
				}
				<-time.After(100 * time.Millisecond)
				return accepted()
			}
		})
		defer w.close()
		for i := range 6 * 60 {
			w.set.Stored(floats(1000, int64(i)))
			pass(time.Minute)
		}
		s := w.status()
		require.Equal(t, int64(360_000), s.Pending)
		require.InDelta(t, 6*time.Hour, s.Lag, float64(time.Minute))
		require.Contains(t, s.Error, "503 Service Unavailable: down")
		require.Less(t, s.Retried, int64(6*3600/15), "the pause has grown")
		w.remote.mu.Lock()
		down = false
		w.remote.mu.Unlock()
		pass(time.Minute)
		s = w.status()
		require.Zero(t, s.Pending)
		require.Equal(t, int64(360_000), s.Sent)
		require.Greater(t, w.remote.most, 4, "it caught up with more shards")
		last := map[string]int64{}
		for _, one := range w.remote.all() {
			before, is := last[one.series]
			require.True(t, !is || before+1 == one.t, "each once and in order")
			last[one.series] = one.t
		}
		require.Len(t, last, 1000)
		for i := range 20 {
			w.set.Stored(floats(10, int64(1000+i)))
			pass(6 * time.Second)
		}
		require.Equal(t, 1, w.status().Shards, "and needs one again")
	})
}

// TestRetryAfterHoldsForAllShards holds that a remote which wants to be left alone is left alone.
func TestRetryAfterHoldsForAllShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		w := newWorld(t, func(w *world) {
			w.limits = Limits{Samples: 10}
			w.remote.answer = func(n, _ int, _ context.Context) *http.Response {
				w.remote.mu.Lock()
				defer w.remote.mu.Unlock()
				at = append(at, time.Now())
				if n == 5 {
					return respond(429, "", "Retry-After", time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat))
				}
				return accepted()
			}
		})
		defer w.close()
		w.set.Stored(floats(300, 1))
		pass(9 * time.Minute)
		w.remote.mu.Lock()
		before := len(at)
		w.remote.mu.Unlock()
		pass(2 * time.Minute)
		require.Len(t, w.remote.all(), 300)
		require.Less(t, before, 5+16)
		for _, one := range at[before:] {
			require.Greater(t, one.Sub(at[4]), 9*time.Minute)
		}
	})
}

func TestWhatIsTooOldIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		w := newWorld(t, func(w *world) {
			w.target.QueueAge = time.Hour
			w.remote.answer = func(int, int, context.Context) *http.Response {
				if down {
					return respond(503, "down")
				}
				return accepted()
			}
		})
		defer w.close()
		for i := range 13 {
			w.set.Stored(floats(10, int64(i)))
			pass(15 * time.Minute)
		}
		w.remote.mu.Lock()
		down = false
		w.remote.mu.Unlock()
		pass(time.Minute)
		s := w.status()
		require.Equal(t, int64(130), s.Dropped[ReasonTooOld]+s.Sent)
		require.GreaterOrEqual(t, s.Sent, int64(40), "what is younger than an hour")
		require.LessOrEqual(t, s.Sent, int64(80), "nothing that is older than two")
		require.Zero(t, s.Pending)
	})
}

// TestClosingFlushes holds that closing sends what is queued, that it does not wait for a remote for long, and that the
// next process goes on where this one ended.
func TestClosingFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.set.Stored(floats(10, 1))
		began := time.Now()
		w.close()
		require.Zero(t, time.Since(began))
		require.Len(t, w.remote.all(), 10)

		w.remote.answer = func(_, _ int, ctx context.Context) *http.Response { <-ctx.Done(); return accepted() }
		w.open()
		w.set.Stored(floats(10, 2))
		pass(10 * time.Second)
		began = time.Now()
		w.close()
		require.Equal(t, 5*time.Second, time.Since(began))

		w.remote.answer = nil
		w.open()
		pass(time.Millisecond)
		require.Equal(t, w.remote.all()[10:], sent(floats(10, 2).Points), "what waited for long enough is sent at once")
		w.close()
	})
}

// TestSamplesAreQueuedBeforeTheTargetIsTold restarts without anybody who tells of the target.
func TestSamplesAreQueuedBeforeTheTargetIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.target.Match = []string{`{i=~"[0-4]"}`} })
		w.close()
		set, err := Open(w.set.options)
		require.NoError(t, err)
		w.set = set
		require.True(t, set.Active())
		set.Stored(floats(10, 1))
		pass(time.Hour)
		require.Empty(t, w.remote.all())
		set.Configure([]Target{w.target})
		pass(time.Second)
		require.Len(t, w.remote.all(), 5)

		other := w.target
		other.ID = 8 // of the same name, made anew
		w.remote.answer = func(int, int, context.Context) *http.Response { return respond(500, "") }
		set.Stored(floats(10, 2))
		set.Configure([]Target{other})
		w.remote.mu.Lock()
		w.remote.answer = nil
		w.remote.mu.Unlock()
		pass(time.Minute)
		require.Len(t, w.remote.all(), 5, "what was for the one is not sent to the other")
		set.Configure(nil)
		require.False(t, set.Active())
		require.Empty(t, set.Statuses())
		require.NoDirExists(t, set.dir(w.target.Name))
		w.close()
	})
}

func TestAProblemIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.target.Problem = "the secret takes another key" })
		defer w.close()
		w.set.Stored(floats(10, 1))
		pass(time.Minute)
		require.Equal(t, "the secret takes another key", w.status().Error)
		require.Equal(t, int64(10), w.status().Pending)
		w.target.Problem = ""
		w.set.Configure([]Target{w.target})
		pass(time.Second)
		require.Len(t, w.remote.all(), 10)
		bad := w.target
		bad.Name, bad.Match = "bad", []string{"{"}
		odd := w.target
		odd.Name = "../x"
		w.set.Configure([]Target{w.target, bad, odd})
		w.set.Stored(floats(10, 2))
		texts := fmt.Sprint(w.set.Statuses())
		require.Contains(t, texts, `selector "{"`)
		require.Contains(t, texts, "no name of a folder")
	})
}

func TestShardsFollowTheLag(t *testing.T) {
	for _, c := range []struct {
		now, items    int
		more, trouble bool
		want          int
	}{
		{1, 2000, true, false, 2}, {2, 4000, true, false, 4}, {12, 24000, true, false, 16}, {16, 32000, true, false, 16},
		{16, 32000, true, true, 8}, {1, 2000, true, true, 1}, {4, 3999, false, false, 3}, {4, 4000, false, false, 4}, {1, 1, false, false, 1},
	} {
		require.Equal(t, c.want, nextShards(c.now, 16, c.items, 2000, c.more, c.trouble), "%+v", c)
	}
}
