package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
	"github.com/novacron/novacron/agent/collect/cloudwatch/fakecloud"
)

const networkIn = `vm_network_receive_bytes_total,interface="_all",vm_id="i-1"`

// traffic is a machine whose every 5 minutes bring 1,000 bytes.
func (l *lab) traffic() {
	l.machine()
	l.publish(nsEC2, "NetworkIn", "Bytes", 1000, "InstanceId", "i-1")
}

// counted is what has been counted of the traffic by a time.
func (l *lab) counted(at string) (float64, bool) { return l.at(networkIn, oclock(at)) }

// sinceNoon makes everything after noon count.
func sinceNoon(c *Config) { c.Since = oclock("12:00:00") }

// on faults an operation's nth call.
func on(operation string, n int, f fakecloud.Fault) func(fakecloud.Call) fakecloud.Fault {
	return func(c fakecloud.Call) fakecloud.Fault {
		if c.Operation == operation && (n == 0 || c.N == n) {
			return f
		}
		return fakecloud.Fault{}
	}
}

func TestProtocols(t *testing.T) {
	for query, protocol := range map[bool]string{false: "rpc-v2-cbor", true: "query"} {
		t.Run(protocol, func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.traffic()
				l.publish(nsAgent, "mem_used", "Bytes", 77, "InstanceId", "i-1")
				l.publish("My/App", "Requests", "Count", 5, "Service", "a&<b")
				l.start(sinceNoon, func(c *Config) {
					c.QueryProtocol, c.Sets, c.Namespaces = query, []Set{SetDefault, SetAgent}, []string{"My/App"}
				})
				until("12:10:00")
				l.good()
				v, ok := l.counted("12:05:00")
				require.True(t, ok)
				require.InDelta(t, 1000, v, 0)
				v, _ = l.at(`vm_memory_used_bytes,source="cwagent",vm_id="i-1"`, oclock("12:09:00"))
				require.InDelta(t, 77, v, 0)
				v, _ = l.at(`aws_my_app_requests_average,dimension_service="a&<b"`, oclock("12:05:00"))
				require.InDelta(t, 5, v, 0)
				seen := map[string]bool{}
				for _, call := range l.aws.Log() {
					seen[call.Operation+" "+call.Protocol] = true
					require.Contains(t, []string{testRegion, "us-east-1"}, call.Region)
				}
				for _, operation := range []string{"GetMetricData", "ListMetrics", "GetMetricStatistics"} {
					require.True(t, seen[operation+" "+protocol], "%s: %v", operation, seen)
				}
				require.True(t, seen["DescribeInstances ec2"])

				l.aws.Fault = on("GetMetricData", 0, fakecloud.Fault{Status: 400, Code: "InvalidParameterValue", Message: "no such thing"})
				until("12:15:00")
				_, err := l.once()
				require.ErrorContains(t, err, "InvalidParameterValue", "errors have a code in both protocols")
				require.ErrorContains(t, err, "no such thing")
			})
		})
	}
}

func TestPages(t *testing.T) {
	inLab(t, func(l *lab) {
		l.aws.PageMachines, l.aws.PageVolumes, l.aws.PageDatapoints, l.aws.PageMetrics = 2, 1, 3, 1
		for i := range 5 {
			id := fmt.Sprintf("i-%d", i)
			l.machine(func(m *fakecloud.Machine) { m.ID = id })
			l.publish(nsEC2, "NetworkIn", "Bytes", float64(i), "InstanceId", id)
			l.publish(nsAgent, "mem_used", "Bytes", float64(i), "InstanceId", id)
			l.aws.AddVolume(fakecloud.Volume{ID: "vol-" + id, Region: testRegion, Type: "gp3", Machine: id, Device: "/dev/sda1", GiB: i + 1})
		}
		l.start(sinceNoon, func(c *Config) { c.Sets = []Set{SetDefault, SetAgent} })
		until("12:30:00")
		l.good()
		for i := range 5 {
			v, ok := l.at(fmt.Sprintf(`vm_network_receive_bytes_total,interface="_all",vm_id="i-%d"`, i), oclock("12:25:00"))
			require.True(t, ok)
			require.InDelta(t, 5*i, v, 0)
			_, ok = l.at(fmt.Sprintf(`vm_memory_used_bytes,source="cwagent",vm_id="i-%d"`, i), oclock("12:29:00"))
			require.True(t, ok)
		}
		calls := l.aws.Calls()
		require.Equal(t, 3, calls["DescribeInstances"])
		require.Equal(t, 5, calls["DescribeVolumes"])
		require.Equal(t, 5, calls["ListMetrics"])
		require.Greater(t, calls["GetMetricData"], 10)
		require.Zero(t, l.meter.Value("collector_partial_responses_total"), "pages that are all read are whole")
	})
}

func TestThrottlingWithoutAWord(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.aws.Fault = func(c fakecloud.Call) fakecloud.Fault {
			if c.Operation == "GetMetricData" && c.N <= 2 {
				return fakecloud.Fault{Status: 400, Code: "Throttling", Message: "Rate exceeded"}
			}
			return fakecloud.Fault{}
		}
		l.start(sinceNoon)
		until("12:10:00")
		began := time.Now()
		l.good()
		require.Equal(t, 3, l.aws.Calls()["GetMetricData"])
		require.Equal(t, 1500*time.Millisecond, time.Since(began).Truncate(100*time.Millisecond), "half a second, then one")
		require.InDelta(t, 2, l.meter.Value("collector_api_throttled_total"), 0)
	})
}

// TestThrottlingFor309Seconds holds that no call is made before AWS allows it, and that what was missed comes then.
func TestThrottlingFor309Seconds(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.aws.Fault = on("GetMetricData", 1, fakecloud.Fault{Status: http.StatusServiceUnavailable, Code: "Throttling", RetryAfter: "309"})
		l.start(sinceNoon)
		until("12:10:00")
		began := time.Now()
		_, err := l.once()
		var paced *cloud.ThrottledError
		require.ErrorAs(t, err, &paced)
		closed := paced.Until.Add(-309 * time.Second)
		require.Less(t, closed.Sub(began).Abs(), time.Second)
		require.Less(t, time.Since(began), time.Second, "it is not waited for beyond the deadline")
		until("12:11:00")
		_, err = l.once()
		require.ErrorAs(t, err, &paced)
		require.Equal(t, 1, l.aws.Calls()["GetMetricData"])
		until("12:12:00")
		l.good() // its deadline is later: it waits
		log := l.aws.Log()
		last := slices.IndexFunc(log, func(c fakecloud.Call) bool { return c.Operation == "GetMetricData" && c.N == 2 })
		require.False(t, log[last].At.Before(closed.Add(309*time.Second)), "%v after", log[last].At.Sub(closed))
		until("12:20:00")
		l.good()
		v, _ := l.counted("12:15:00")
		require.InDelta(t, 3000, v, 0)
	})
}

func TestPartialDataCountsWhenItIsWhole(t *testing.T) {
	for _, status := range []string{"PartialData", "InternalError", "Forbidden"} {
		t.Run(status, func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.traffic()
				l.publish(nsEC2, "CPUUtilization", "Percent", 10, "InstanceId", "i-1")
				l.start(sinceNoon)
				until("12:10:00")
				l.good()
				l.aws.Fault = on("GetMetricData", 0, fakecloud.Fault{Result: status, Results: 1000, Empty: true})
				for _, at := range []string{"12:15:00", "12:20:00", "12:25:00"} {
					until(at)
					_, err := l.once()
					var partial *PartialError
					require.ErrorAs(t, err, &partial)
					require.Equal(t, status, partial.Status)
				}
				require.InDelta(t, 3, l.meter.Value("collector_partial_responses_total"), 0)
				v, ok := l.counted("12:05:00")
				require.True(t, ok)
				require.InDelta(t, 1000, v, 0)
				for series, points := range l.stored {
					for at, v := range points {
						require.False(t, collect.IsStale(v), "%s has ended at %d though nobody knows", series, at)
					}
				}
				_, ok = l.counted("12:10:00")
				require.False(t, ok, "what is not known does not count as nothing")
				l.aws.Fault = nil
				until("12:30:00")
				l.good()
				for i, at := range []string{"12:05:00", "12:10:00", "12:15:00", "12:20:00", "12:25:00"} {
					v, ok = l.counted(at)
					require.True(t, ok, at)
					require.InDelta(t, 1000*(i+1), v, 0, at)
				}
			})
		})
	}
}

// TestOnePartialMetricKeepsNoOtherBack holds that what is whole goes on beside what is not, and that the calls stay small.
func TestOnePartialMetricKeepsNoOtherBack(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.publish(nsEC2, "NetworkOut", "Bytes", 5, "InstanceId", "i-1")
		l.start(sinceNoon)
		l.aws.Fault = on("GetMetricData", 0, fakecloud.Fault{Result: "Forbidden", Results: 1, Empty: true})
		for at := oclock("12:05:00"); !at.After(oclock("15:00:00")); at = at.Add(5 * time.Minute) {
			later(time.Until(at.Add(500 * time.Millisecond)))
			_, err := l.once()
			require.Error(t, err)
		}
		v, ok := l.counted("14:55:00")
		require.True(t, ok)
		require.InDelta(t, 35_000, v, 0)
		for _, call := range l.aws.Log() {
			require.False(t, call.Queries > 1 && call.End.Sub(call.Start) > 2*time.Hour, "%d metrics are read %v back", call.Queries, call.End.Sub(call.Start))
		}
	})
}

func TestLateRewrites(t *testing.T) {
	inLab(t, func(l *lab) {
		l.machine()
		l.aws.AddSeries(fakecloud.Series{Region: testRegion, Namespace: nsEC2, Name: "NetworkIn", Unit: "Bytes", Dimensions: map[string]string{"InstanceId": "i-1"},
			Step: 5 * time.Minute, Lag: 4 * time.Minute, Early: 0.5, Value: func(time.Time) (float64, bool) { return 1000, true }})
		l.aws.AddSeries(fakecloud.Series{Region: testRegion, Namespace: nsEC2, Name: "CPUUtilization", Unit: "Percent", Dimensions: map[string]string{"InstanceId": "i-1"},
			Step: 5 * time.Minute, Lag: 4 * time.Minute, Early: 0.5, Value: func(time.Time) (float64, bool) { return 80, true }})
		l.start(sinceNoon)
		until("12:05:00")
		l.good()
		v, _ := l.at(`vm_cpu_utilization_ratio,vm_id="i-1"`, oclock("12:05:00"))
		require.InDelta(t, 0.4, v, 1e-12, "what is known so far")
		until("12:10:00")
		l.good()
		v, _ = l.at(`vm_cpu_utilization_ratio,vm_id="i-1"`, oclock("12:05:00"))
		require.InDelta(t, 0.8, v, 1e-12, "the last write wins")
		v, _ = l.counted("12:05:00")
		require.InDelta(t, 1000, v, 0, "the final amount, once")
	})
}

func TestDuplicatesAndRaggedAnswers(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.start(sinceNoon)
		l.aws.Fault = on("GetMetricData", 1, fakecloud.Fault{Twice: true})
		until("12:10:00")
		l.good()
		v, _ := l.counted("12:05:00")
		require.InDelta(t, 1000, v, 0, "the same twice is once")
		l.aws.Fault = on("GetMetricData", 2, fakecloud.Fault{Ragged: true})
		until("12:15:00")
		_, err := l.once()
		require.Error(t, err, "times without values are no whole answer")
		until("12:20:00")
		l.good()
		v, _ = l.counted("12:15:00")
		require.InDelta(t, 3000, v, 0)
	})
}

func TestEmptyPoints(t *testing.T) {
	inLab(t, func(l *lab) {
		l.machine()
		l.series(nsEC2, "NetworkIn", "Bytes", func(start time.Time) (float64, bool) { return 1000, start.Equal(oclock("12:00:00")) }, "InstanceId", "i-1")
		l.series(nsEC2, "CPUUtilization", "Percent", func(start time.Time) (float64, bool) { return 50, start.Equal(oclock("12:00:00")) }, "InstanceId", "i-1")
		l.start(sinceNoon)
		for _, at := range []string{"12:10:00", "12:15:00", "12:20:00", "12:25:00", "12:30:00"} {
			until(at)
			l.good()
		}
		v, ok := l.counted("12:25:00")
		require.True(t, ok, "the counter stays")
		require.InDelta(t, 1000, v, 0)
		for at, v := range l.stored[`vm_cpu_utilization_ratio,vm_id="i-1"`] {
			require.True(t, collect.IsStale(v) || v == 0.5 && at == oclock("12:05:00").UnixMilli(), "no value is made up: %g at %d", v, at)
		}
	})
}

func TestClockSkew(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, 20 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.traffic()
				l.aws.Skew = skew
				l.start(sinceNoon)
				until("12:10:00")
				l.good()
				require.Equal(t, 2, l.aws.Calls()["GetCallerIdentity"], "refused, and again by AWS's clock")
				until("12:15:00")
				l.good()
				require.Equal(t, 2, l.aws.Calls()["GetCallerIdentity"])
				require.Equal(t, 1, l.aws.Calls()["GetMetricData"]-2, "refused once more at most: %v", l.aws.Calls())
			})
		})
	}
}

// TestHostThatIsAhead holds that nothing is taken for final, and for nothing, that AWS could not publish yet.
func TestHostThatIsAhead(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.aws.Skew = -time.Hour
		l.start(func(c *Config) { c.Since = oclock("11:00:00") })
		for at := oclock("12:05:00"); !at.After(oclock("13:00:00")); at = at.Add(5 * time.Minute) {
			later(time.Until(at.Add(500 * time.Millisecond)))
			l.good()
		}
		for i := range 11 {
			v, ok := l.at(networkIn, oclock("11:05:00").Add(time.Duration(i)*5*time.Minute))
			require.True(t, ok)
			require.InDelta(t, 1000*(i+1), v, 0)
		}
		_, ok := l.counted("12:00:00")
		require.False(t, ok, "it is noon for AWS: not final")
		require.Zero(t, l.meter.Value("collector_late_samples_total"))
	})
}

func TestExpiredCredentials(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.start(sinceNoon)
		until("12:10:00")
		l.good()
		l.aws.AddKey("AKIATEST", time.Now())
		until("12:15:00")
		_, err := l.once()
		require.ErrorContains(t, err, "access key AKIATEST have expired: renew them")
		var failed *CallError
		require.ErrorAs(t, err, &failed)
		l.aws.AddKey("AKIATEST", time.Time{})
		until("12:25:00")
		l.good()
		v, _ := l.counted("12:20:00")
		require.InDelta(t, 4000, v, 0, "nothing is lost")
	})
}

func TestEndpointDown(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.start(sinceNoon)
		l.pipe.down = true
		until("12:10:00")
		_, err := l.once()
		require.ErrorContains(t, err, "connection refused")
		require.ErrorContains(t, err, "check that the endpoint http://aws.test:80 is up and right")
		l.pipe.down = false
		until("12:15:00")
		l.good()
		v, _ := l.counted("12:10:00")
		require.InDelta(t, 2000, v, 0)
	})
}

func TestRefusals(t *testing.T) {
	for code, wayOut := range map[string]string{
		"AccessDenied":                "allow cloudwatch:GetMetricData",
		"UnrecognizedClientException": "AWS does not know access key AKIATEST",
		"OptInRequired":               "enable the region for the account",
		"Throttling":                  "AWS throttles the account",
	} {
		t.Run(code, func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.traffic()
				l.aws.Fault = on("GetMetricData", 0, fakecloud.Fault{Status: http.StatusForbidden, Code: code, Message: "no"})
				l.start(sinceNoon)
				until("12:10:00")
				metrics, err := l.once()
				require.ErrorContains(t, err, wayOut)
				require.ErrorContains(t, err, "AWS GetMetricData in eu-central-1")
				require.NotEmpty(t, metrics, "what the inventory tells is there all the same")
			})
		})
	}
}

func TestAnswerTooLarge(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.aws.Fault = on("GetMetricData", 0, fakecloud.Fault{Large: 2 << 20})
		l.start(sinceNoon, func(c *Config) { c.Limits.Response = 1 << 20 })
		until("12:10:00")
		_, err := l.once()
		require.ErrorContains(t, err, "more than 1048576 bytes")
		require.Equal(t, 1, l.aws.Calls()["GetMetricData"], "again would be as large")
	})
}

func TestCallEndsInTime(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		hang := make(chan struct{})
		defer close(hang)
		l.aws.Fault = func(c fakecloud.Call) fakecloud.Fault {
			if c.Operation == "GetMetricData" {
				<-hang
			}
			return fakecloud.Fault{}
		}
		l.start(sinceNoon, func(c *Config) { c.Limits.CallTime = 10 * time.Second })
		until("12:10:00")
		began := time.Now()
		_, err := l.once()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "no answer within 10s")
		require.Less(t, time.Since(began), time.Minute)
	})
}

// TestPaceIsSharedByCollectorsOfOneAccount holds that what AWS says to one holds for all.
func TestPaceIsSharedByCollectorsOfOneAccount(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		paces := &cloud.Paces{}
		shared := func(c *Config) { c.Since, c.Paces = oclock("12:00:00"), paces }
		l.aws.Fault = on("GetMetricData", 1, fakecloud.Fault{Status: http.StatusTooManyRequests, Code: "Throttling", RetryAfter: "3600"})
		l.start(shared)
		until("12:10:00")
		_, err := l.once()
		var paced *cloud.ThrottledError
		require.ErrorAs(t, err, &paced)
		l.start(shared, func(c *Config) { c.Stores = func(string) collect.StateStore { return &memStore{} } })
		_, err = l.once()
		require.ErrorAs(t, err, &paced)
		require.Equal(t, 1, l.aws.Calls()["GetMetricData"])
	})
}

func TestThroughIsWhereAnotherGoesOn(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.start(sinceNoon)
		until("12:20:00")
		require.Zero(t, l.Through())
		l.good()
		require.Equal(t, oclock("12:15:00"), l.Through())
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"309": 309 * time.Second, "0.5": 500 * time.Millisecond, "Wed, 01 Jul 2026 13:00:00 GMT": time.Hour, "soon": -1, "": -1, "-5": -1,
	} {
		err := &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{Header: http.Header{"Retry-After": {header}}}}, Err: errors.New("throttled"),
		}}
		until, asked := retryAfter(fmt.Errorf("call: %w", err), now)
		require.Equal(t, want >= 0, asked, header)
		if asked {
			require.Equal(t, now.Add(want), until.UTC(), header)
		}
	}
}
