package azuremonitor

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/azuremonitor/fakecloud"
	"github.com/novacron/novacron/agent/collect/cloud"
)

const batchAPI = "metrics:getBatch"

// TestThrottledAsLongAsAsked holds that no call is made for 309 s, and that nothing is missing afterwards.
func TestThrottledAsLongAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		metrics := append(l.collect(), l.until(5*time.Minute)...)
		l.cloud.Faults = []fakecloud.Fault{fakecloud.On(batchAPI, fakecloud.Times(1, fakecloud.Throttle(309)))}
		pass(time.Minute)
		_, err := l.try()
		require.ErrorContains(t, err, "429 TooManyRequests: too many calls; what was missed is collected later")
		throttled, calls := time.Now(), l.cloud.Calls(batchAPI)
		for time.Since(throttled) < 4*time.Minute { // a later one can wait for the rest
			pass(time.Minute)
			got, err := l.try()
			var held *cloud.ThrottledError
			require.ErrorAs(t, err, &held)
			require.Equal(t, throttled.Add(309*time.Second), held.Until)
			require.NotEmpty(t, valuesOf(got, "vm_state", "state", "running"), "the inventory is another API")
			require.Equal(t, calls, l.cloud.Calls(batchAPI))
			for _, m := range got {
				require.False(t, collect.IsStale(m.Value), "%s is not ended: it was not read", m.Name)
			}
		}
		metrics = append(metrics, l.until(10*time.Minute)...)
		l.holdsTruth(metrics, webID, vmID, 15*time.Minute)
	})
}

// holdsTruth holds that each minute's value of a counter is the sum of all before.
func (l *lab) holdsTruth(metrics []collect.Metric, id, uuid string, atLeast time.Duration) {
	l.t.Helper()
	for metric, name := range map[string]string{"Network In Total": "vm_network_receive_bytes_total", "Disk Write Bytes": "vm_disk_write_bytes_total"} {
		values := valuesOf(metrics, name, "vm_id", uuid)
		sum, seen := 0.0, 0
		began := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		for end := began.Add(time.Minute); seen < len(values); end = end.Add(time.Minute) {
			v, any := l.cloud.Truth(id, metric, "", "Total", end)
			sum += v
			value, told := values[end]
			require.True(l.t, told || seen == 0 || !any, "%s at %v is missing", name, end)
			if told {
				require.Equal(l.t, sum, value, "%s at %v", name, end)
				seen++
			}
		}
		require.GreaterOrEqual(l.t, seen, int(atLeast/time.Minute), name)
	}
}

func TestThrottledWithoutATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.collect()
		var at []time.Duration
		began := time.Now()
		l.cloud.Faults = []fakecloud.Fault{fakecloud.On(batchAPI, func(w http.ResponseWriter, r *http.Request) bool {
			at = append(at, time.Since(began).Truncate(time.Second))
			return fakecloud.Throttle(0)(w, r)
		})}
		for time.Since(began) < 20*time.Minute {
			pass(13 * time.Second)
			_, err := l.try()
			require.Error(t, err)
		}
		pause := 10 * time.Second
		for i := 1; i < len(at); i++ {
			require.GreaterOrEqual(t, at[i]-at[i-1], pause, "%v", at)
			require.Less(t, at[i]-at[i-1], pause+30*time.Second)
			pause = min(2*pause, longestPause)
		}
		require.Len(t, at, 8)
	})
}

func TestRetryAfter(t *testing.T) {
	const date = "Mon, 23 Nov 2026 12:00:00 GMT"
	for _, v := range []struct {
		name, value string
		want        time.Duration
		told        bool
	}{
		{"Retry-After", "309", 309 * time.Second, true},
		{"Retry-After", "Mon, 23 Nov 2026 12:05:09 GMT", 309 * time.Second, true},
		{"x-ms-retry-after-ms", "1500", 1500 * time.Millisecond, true},
		{"retry-after-ms", "20", 20 * time.Millisecond, true},
		{"Retry-After", "soon", 0, false},
		{"Retry-After", "-5", 0, false},
		{"Other", "5", 0, false},
	} {
		h := http.Header{}
		h.Set("Date", date)
		h.Set(v.name, v.value)
		got, told := retryAfter(h)
		require.Equal(t, v.told, told, v.value)
		require.Equal(t, v.want, got, v.value)
	}
}

// TestPartialAnswersCount breaks one metric for a while: it is counted, told, asked for again, and nothing is lost.
func TestPartialAnswersCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.cloud.Break(webID, "Network In Total", "InternalServerError")
		metrics, err := l.try()
		require.Error(t, err)
		for range 10 {
			pass(time.Minute)
			got, err := l.try()
			require.ErrorContains(t, err, "Network In Total: InternalServerError the metric cannot be read now; it is asked for again")
			require.NotEmpty(t, valuesOf(got, "vm_cpu_utilization_ratio"), "the others are there")
			require.Empty(t, markers(got, "vm_network_receive_bytes_total"))
			metrics = append(metrics, got...)
		}
		l.cloud.Break(webID, "Network In Total", "")
		metrics = append(metrics, l.until(5*time.Minute)...)
		l.holdsTruth(metrics, webID, vmID, 10*time.Minute)
		l.cloud.Break(webID, "Network In Total", "InternalServerError")
		_, counts := l.run(2*time.Minute + time.Second)
		require.Equal(t, 1.0+10+3, counts["collector_partial_responses_total"], "the first collection, ten, and three by the runner")
	})
}

func TestMissingResourcesAreAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		metrics := l.collect()
		l.cloud.Omit = map[string]bool{strings.ToLower(webID): true}
		for range 20 {
			pass(time.Minute)
			got, err := l.try()
			require.ErrorContains(t, err, strings.ToLower(webID)+" is missing in the answer; it is asked for again")
			require.Empty(t, markers(got, "vm_network_receive_bytes_total"))
			metrics = append(metrics, got...)
		}
		l.cloud.Omit = nil
		metrics = append(metrics, l.until(5*time.Minute)...)
		l.holdsTruth(metrics, webID, vmID, 20*time.Minute)
	})
}

func TestDuplicatesCountOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.cloud.Twice = true
		metrics := append(l.collect(), l.until(15*time.Minute)...)
		l.holdsTruth(metrics, webID, vmID, 10*time.Minute)
		_, counts := l.run(2*time.Minute + time.Second)
		require.Zero(t, counts["collector_late_samples_total"])
	})
}

func TestWrongUnitsAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.collect()
		l.until(5 * time.Minute)
		l.cloud.Unit("Percentage CPU", "MilliCores")
		metrics, counts := l.run(3*time.Minute + time.Second)
		require.Empty(t, valuesOf(metrics, "vm_cpu_utilization_ratio"))
		require.Empty(t, markers(metrics, "vm_cpu_utilization_ratio"))
		require.NotEmpty(t, valuesOf(metrics, "vm_memory_available_bytes"))
		require.Equal(t, 4.0, counts["collector_unit_mismatch_total"])
	})
}

// TestAGoneResourceSpoilsNoCall has the service refuse every call that names a resource that is gone.
func TestAGoneResourceSpoilsNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.cloud.RefuseGone = true
		var ids []string
		for i := range 30 {
			id := fakecloud.ResourceID(subscription, "rg", fmt.Sprintf("vm%02d", i))
			l.cloud.Add(fakecloud.Machine{ID: id, VMID: fmt.Sprintf("id-%02d", i), Location: "westeurope", Size: "Standard_D4s_v5", Power: "running", Created: time.Now()})
			ids = append(ids, id)
		}
		metrics := append(l.collect(), l.until(8*time.Minute)...)
		before := l.cloud.Calls(batchAPI)
		l.cloud.Change(ids[7], func(m *fakecloud.Machine) { m.Gone = time.Now() })
		pass(time.Minute)
		got, err := l.try()
		require.ErrorContains(t, err, "404 ResourceNotFound")
		metrics = append(metrics, got...)
		require.LessOrEqual(t, l.cloud.Calls(batchAPI)-before, 11, "halves of 31, of which one is gone")
		metrics = append(metrics, l.tolerate(20*time.Minute)...)
		l.holdsTruth(metrics, webID, vmID, 25*time.Minute)
		l.holdsTruth(metrics, ids[8], "id-08", 25*time.Minute)
		require.Len(t, markers(metrics, "vm_network_receive_bytes_total"), 1)
		before = l.cloud.Calls(batchAPI)
		pass(time.Minute)
		l.collect()
		require.Equal(t, 1, l.cloud.Calls(batchAPI)-before, "all in one call again")
	})
}

// tolerate collects each minute whatever comes.
func (l *lab) tolerate(d time.Duration) (all []collect.Metric) {
	l.t.Helper()
	for range d / time.Minute {
		pass(time.Minute)
		got, _ := l.try()
		all = append(all, got...)
	}
	return all
}

func TestExpiredTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		metrics := append(l.collect(), l.until(2*time.Minute)...)
		l.cloud.Revoke()
		pass(time.Minute)
		_, err := l.try()
		require.ErrorContains(t, err, "401 ExpiredAuthenticationToken")
		require.ErrorContains(t, err, "renew the credentials")
		metrics = append(metrics, l.until(130*time.Minute)...) // tokens live for an hour
		l.holdsTruth(metrics, webID, vmID, 2*time.Hour)
		l.cloud.Faults = []fakecloud.Fault{fakecloud.Fail(http.StatusForbidden, "AuthorizationFailed", "The client does not have authorization.")}
		pass(time.Minute)
		_, err = l.try()
		require.ErrorContains(t, err, "403 AuthorizationFailed: the default chain may not do this; give it the role of deploy/permissions/azure-role.json")
	})
}

func TestEndpointDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fault := range map[string]fakecloud.Fault{
			"hangs up": fakecloud.HangUp(), "fails": fakecloud.Fail(http.StatusInternalServerError, "InternalServerError", "Oops."),
			"never answers": fakecloud.NeverAnswer(),
		} {
			l := newLab(t)
			metrics := append(l.collect(), l.until(4*time.Minute)...)
			for _, api := range []string{batchAPI, "virtualMachines", "status"} {
				l.cloud.Faults = []fakecloud.Fault{fakecloud.On(api, fault)}
				failed := 0
				for range 7 {
					pass(time.Minute)
					got, err := l.try()
					if err != nil {
						failed++
					}
					metrics = append(metrics, got...)
				}
				require.Positive(t, failed, "%s %s", api, name)
				l.cloud.Faults = nil
				metrics = append(metrics, l.tolerate(6*time.Minute)...)
			}
			for _, m := range metrics {
				require.False(t, collect.IsStale(m.Value), "%s: %s is ended", name, m.Name)
			}
		}
	})
}

func TestNothingIsKnownBeforeTheFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.cloud.Faults = []fakecloud.Fault{fakecloud.HangUp()}
		for range 3 {
			got, err := l.try()
			require.Empty(t, got)
			require.ErrorContains(t, err, "machines of subscription "+subscription)
			pass(time.Minute)
		}
		l.cloud.Faults = nil
		require.NotEmpty(t, append(l.collect(), l.until(5*time.Minute)...))
	})
}

// TestClockSkew has hosts whose clocks are wrong by an hour in either direction.
func TestClockSkew(t *testing.T) {
	for _, skew := range []time.Duration{time.Hour, -time.Hour, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.cloud.Skew = skew
			l.cloud.Change(webID, func(m *fakecloud.Machine) { m.Created = time.Now().Add(-3 * time.Hour) })
			began := l.cloud.Now().Truncate(time.Minute)
			metrics := append(l.collect(), l.until(15*time.Minute)...)
			values := valuesOf(metrics, "vm_network_receive_bytes_total")
			require.GreaterOrEqual(t, len(values), 11, "skew %v", skew)
			sum := 0.0
			for end := began.Add(time.Minute); !end.After(began.Add(10 * time.Minute)); end = end.Add(time.Minute) {
				v, _ := l.cloud.Truth(webID, "Network In Total", "", "Total", end)
				sum += v
			}
			require.Equal(t, sum, values[began.Add(10*time.Minute)], "skew %v", skew)
		})
	}
}

func TestPagesAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.cloud.PageSize = 7
		for i := range 40 {
			l.cloud.Add(fakecloud.Machine{ID: fakecloud.ResourceID(subscription, "rg", fmt.Sprint("vm", i)), VMID: fmt.Sprint("id-", i), Location: "northeurope", Size: "Standard_D4s_v5", Power: "running", Created: time.Now()})
		}
		l.collect()
		require.Equal(t, 6, l.cloud.Calls("virtualMachines"))
		require.Equal(t, 6, l.cloud.Calls("status"))
		seen := map[string]bool{}
		for _, m := range l.until(5 * time.Minute) {
			if m.Name == "vm_cpu_utilization_ratio" {
				seen[m.Labels["vm_id"]] = true
			}
		}
		require.Len(t, seen, 41)
	})
}

func TestRegionsAreChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *Config) { c.Regions = []string{"North Europe"} })
		l.cloud.Add(fakecloud.Machine{ID: fakecloud.ResourceID(subscription, "rg", "n"), VMID: "n", Location: "northeurope", Size: "Standard_D4s_v5", Power: "running", Created: time.Now()})
		for _, m := range append(l.collect(), l.until(4*time.Minute)...) {
			require.Equal(t, "northeurope", m.Labels["cloud_region"])
		}
	})
}

func TestAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.collect()
		l.cloud.Faults = []fakecloud.Fault{fakecloud.On(batchAPI, func(w http.ResponseWriter, _ *http.Request) bool {
			line := make([]byte, 1<<20)
			for range maxAnswer>>20 + 1 {
				if _, err := w.Write(line); err != nil {
					break
				}
			}
			return true
		})}
		pass(time.Minute)
		_, err := l.try()
		require.ErrorContains(t, err, "the answer has more than 64 MB")
	})
}

// TestTheBudgetStops has calls for three collections a day.
func TestTheBudgetStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *Config) { c.DailyCalls = 3 })
		for range 3 {
			l.collect()
			pass(time.Minute)
		}
		require.Equal(t, "1440 calls for metrics a day: this costs about $0.01 a day; the budget of 3 stops it after 0.1 h", l.Forecast().String())
		got, err := l.try()
		require.ErrorContains(t, err, "budget of 3 calls for metrics a day: 3 are used and 1 more are needed")
		require.NotEmpty(t, valuesOf(got, "vm_state"), "the inventory costs nothing")
		require.Equal(t, 3, l.cloud.Calls(batchAPI))
		l.restart()
		_, err = l.try()
		require.Error(t, err, "what was spent is spent after a restart, too")
		pass(23 * time.Hour)
		pass(57 * time.Minute)
		l.collect()
		require.Equal(t, 4, l.cloud.Calls(batchAPI))
	})
}
