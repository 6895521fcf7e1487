package cloudwatch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
	"github.com/novacron/novacron/agent/collect/cloudwatch/fakecloud"
	"github.com/novacron/novacron/tsdb"
)

// staleOf counts the stale markers among metrics, by name.
func staleOf(metrics []collect.Metric) map[string]int {
	ended := map[string]int{}
	for _, m := range metrics {
		if collect.IsStale(m.Value) {
			ended[m.Name]++
		}
	}
	return ended
}

func TestMachineThatVanishes(t *testing.T) {
	inLab(t, func(l *lab) {
		m := l.machine(func(m *fakecloud.Machine) { m.Ended = oclock("12:22:00") })
		l.series(nsEC2, "NetworkIn", "Bytes", func(start time.Time) (float64, bool) { return 1000, start.Before(m.Ended) }, "InstanceId", "i-1")
		l.start(sinceNoon)
		ended := map[string]int{}
		for at := oclock("12:05:00"); at.Before(oclock("14:00:00")); at = at.Add(5 * time.Minute) {
			later(time.Until(at.Add(500 * time.Millisecond)))
			for name, n := range staleOf(l.good()) {
				ended[name] += n
			}
		}
		v, ok := l.counted("12:25:00")
		require.True(t, ok, "the last period counts though the machine was gone when it was final")
		require.InDelta(t, 5000, v, 0)
		require.Equal(t, 1, ended["vm_network_receive_bytes_total"], "once: %v", ended)
		require.Equal(t, 1, ended["vm_vcpus"])
		require.Zero(t, ended["vm_network_transmit_bytes_total"], "what never had a value has no end")
		asked := l.aws.Asked()
		until("14:05:00")
		l.good()
		require.Equal(t, asked, l.aws.Asked(), "what is gone costs nothing")
	})
}

// TestLastPeriodsOutlastAFailure ends, stops and detaches things just before CloudWatch fails for two hours: their last
// periods count, also after a restart, and then they cost nothing.
func TestLastPeriodsOutlastAFailure(t *testing.T) {
	inLab(t, func(l *lab) {
		end := oclock("12:22:00")
		before := func(start time.Time) (float64, bool) { return 1000, start.Before(end) }
		for id, change := range map[string]func(*fakecloud.Machine){
			"i-ended":   func(m *fakecloud.Machine) { m.Ended = end },
			"i-stopped": func(m *fakecloud.Machine) { m.Stopped = end },
		} {
			l.machine(func(m *fakecloud.Machine) { m.ID = id }, change)
			l.series(nsEC2, "NetworkIn", "Bytes", before, "InstanceId", id)
		}
		l.start(sinceNoon)
		for at := oclock("12:05:00"); at.Before(oclock("12:25:00")); at = at.Add(5 * time.Minute) {
			later(time.Until(at.Add(500 * time.Millisecond)))
			l.good()
		}
		l.aws.Fault = on("GetMetricData", 0, fakecloud.Fault{Status: 500, Code: "InternalFailure"})
		for at := oclock("12:25:00"); at.Before(oclock("14:25:00")); at = at.Add(5 * time.Minute) {
			later(time.Until(at.Add(500 * time.Millisecond)))
			_, err := l.once()
			require.Error(t, err)
			if at.Equal(oclock("13:00:00")) {
				l.start(sinceNoon)
			}
		}
		l.aws.Fault = nil
		until("14:30:00")
		l.good()
		for _, id := range []string{"i-ended", "i-stopped"} {
			v, ok := l.at(networkOf(id, "_all", ""), oclock("12:25:00"))
			require.True(t, ok, "the last period of %s", id)
			require.InDelta(t, 5000, v, 0, id)
		}
		until("14:50:00")
		l.good()
		asked := l.aws.Asked()
		until("14:55:00")
		l.good()
		require.Equal(t, asked, l.aws.Asked(), "what is over costs nothing")
	})
}

func TestMachineThatAppears(t *testing.T) {
	inLab(t, func(l *lab) {
		l.machine(func(m *fakecloud.Machine) { m.ID = "i-0" }) // there all the time
		l.publish(nsEC2, "NetworkIn", "Bytes", 1000, "InstanceId", "i-0")
		l.start(sinceNoon)
		until("12:05:00")
		l.good()
		l.machine(func(m *fakecloud.Machine) { m.Launched = oclock("12:06:00") })
		l.publish(nsEC2, "NetworkIn", "Bytes", 1000, "InstanceId", "i-1")
		l.aws.Fault = on("DescribeInstances", 0, fakecloud.Fault{Status: 403, Code: "UnauthorizedOperation"})
		for _, at := range []string{"12:10:00", "12:30:00", "12:55:00"} {
			until(at)
			_, err := l.once()
			require.ErrorContains(t, err, "allow ec2:DescribeInstances")
		}
		l.aws.Fault = nil
		until("13:00:00")
		l.good()
		v, ok := l.counted("12:55:00")
		require.True(t, ok)
		require.InDelta(t, 11_000, v, 0, "all since it was there, though nobody could see it")
	})
}

// TestAgentThatAppears is listed late by CloudWatch and noticed late by us; nothing of it is lost.
func TestAgentThatAppears(t *testing.T) {
	inLab(t, func(l *lab) {
		l.machine()
		l.aws.ListLag = 15 * time.Minute
		l.publish(nsAgent, "mem_used", "Bytes", 1, "InstanceId", "i-1") // there all the time
		l.series(nsAgent, "net_bytes_recv", "Bytes", func(start time.Time) (float64, bool) { return 10, !start.Before(oclock("12:06:00")) },
			"InstanceId", "i-1", "interface", "eth0")
		l.start(sinceNoon, func(c *Config) { c.Sets = []Set{SetAgent} })
		for at := oclock("12:05:00"); !at.After(oclock("13:00:00")); at = at.Add(5 * time.Minute) {
			later(time.Until(at.Add(500 * time.Millisecond)))
			l.good()
		}
		v, ok := l.at(`vm_network_receive_bytes_total,interface="eth0",source="cwagent",vm_id="i-1"`, oclock("12:57:00"))
		require.True(t, ok)
		require.InDelta(t, 510, v, 0, "51 minutes")
	})
}

// TestVolumesReplaceTheirSum holds that no byte is told twice.
func TestVolumesReplaceTheirSum(t *testing.T) {
	for _, sums := range []bool{false, true} {
		inLab(t, func(l *lab) {
			l.machine()
			l.aws.AddVolume(fakecloud.Volume{ID: "vol-1", Region: testRegion, Type: "gp3", Machine: "i-1", Device: "/dev/sda1", GiB: 8})
			l.publish(nsEC2, "EBSReadBytes", "Bytes", 5, "InstanceId", "i-1")
			l.publish(nsEBS, "VolumeReadBytes", "Bytes", 1, "VolumeId", "vol-1")
			l.start(sinceNoon, func(c *Config) { c.Sets, c.Sums = []Set{SetDefault, SetVolumes}, sums })
			until("12:10:00")
			l.good()
			_, volume := l.at(`vm_disk_read_bytes_total,device="sda1",vm_id="i-1"`, oclock("12:05:00"))
			_, sum := l.at(`vm_disk_read_bytes_total,device="_ebs_all",vm_id="i-1"`, oclock("12:05:00"))
			require.True(t, volume)
			require.Equal(t, sums, sum)
		})
	}
}

func TestDimensionsHaveToMatch(t *testing.T) {
	inLab(t, func(l *lab) {
		l.machine()
		l.publish(nsAgent, "mem_used", "Bytes", 1, "InstanceId", "i-1", "ImageId", "ami-1")
		l.publish(nsAgent, "mem_used", "Bytes", 2, "InstanceId", "i-1")
		l.publish(nsAgent, "mem_used", "Bytes", 3, "ImageId", "ami-1")
		l.publish(nsAgent, "mem_used", "Bytes", 4, "InstanceId", "i-1", "team", "red")
		l.publish(nsAgent, "mem_used", "Bytes", 5, "InstanceId", "i-9")
		l.publish(nsAgent, "cpu_usage_active", "Percent", 10, "InstanceId", "i-1", "cpu", "cpu0")
		l.publish(nsAgent, "cpu_usage_active", "Percent", 20, "InstanceId", "i-1", "cpu", "cpu-total")
		l.publish(nsAgent, "net_bytes_recv", "Bytes", 20, "InstanceId", "i-1")
		l.start(sinceNoon, func(c *Config) { c.Sets = []Set{SetAgent} })
		until("12:10:00")
		l.good()
		v, _ := l.at(`vm_memory_used_bytes,source="cwagent",vm_id="i-1"`, oclock("12:09:00"))
		require.InDelta(t, 2, v, 0, "the smallest set")
		v, _ = l.at(`vm_cpu_utilization_ratio,source="cwagent",vm_id="i-1"`, oclock("12:09:00"))
		require.InDelta(t, 0.2, v, 1e-12)
		for series := range l.stored {
			require.NotContains(t, series, "i-9")
			require.NotContains(t, series, "vm_network_receive", "a sum over interfaces is not that of one")
		}
		require.Equal(t, 2, l.aws.Asked(), "nothing else is paid for")
	})
}

func TestOtherNamespacesPassAsTheyAre(t *testing.T) {
	inLab(t, func(l *lab) {
		l.publish("My/App", "Latency", "Milliseconds", 250, "Service", "api")
		l.publish("My/App", "Odd", "Furlongs", 1, "Service", "api")
		l.publish(nsEC2, "NetworkIn", "Bytes", 1, "AutoScalingGroupName", "asg")
		l.publish(nsEC2, "MetadataNoToken", "Count", 3, "AutoScalingGroupName", "asg")
		l.start(func(c *Config) { c.Namespaces, c.Since = []string{"My/App", nsEC2}, oclock("12:00:00") })
		until("12:10:00")
		metrics, err := l.once()
		require.ErrorContains(t, err, "My/App Odd is published in Furlongs")
		require.InDelta(t, 1, l.meter.Value("collector_unit_mismatch_total"), 0)
		v, ok := l.at(`aws_my_app_latency_average,dimension_service="api"`, oclock("12:05:00"))
		require.True(t, ok, "%v", slices.Collect(maps.Keys(l.stored)))
		require.InDelta(t, 0.25, v, 1e-12)
		for _, m := range metrics {
			require.NotContains(t, m.Name, "network_in", "what has a canonical name is not told under another")
			if m.Name == "aws_my_app_latency_average" {
				require.Equal(t, "seconds", m.Unit)
				require.Equal(t, collect.TypeGauge, m.Type)
			}
		}
		_, ok = l.at(`aws_ec2_metadata_no_token_average,dimension_auto_scaling_group_name="asg"`, oclock("12:05:00"))
		require.True(t, ok)
		until("12:30:00")
		l.good()
		require.InDelta(t, 1, l.meter.Value("collector_unit_mismatch_total"), 0, "counted and said once")
	})
}

func TestUnitThatIsAnother(t *testing.T) {
	inLab(t, func(l *lab) {
		l.machine()
		l.publish(nsAgent, "mem_used", "Gigabytes", 4, "InstanceId", "i-1")
		l.start(sinceNoon, func(c *Config) { c.Sets = []Set{SetAgent} })
		until("12:10:00")
		_, err := l.once()
		require.ErrorContains(t, err, "CWAgent mem_used is published in Gigabytes, not in Bytes, and is left out")
		require.InDelta(t, 1, l.meter.Value("collector_unit_mismatch_total"), 0)
		for series := range l.stored {
			require.NotContains(t, series, "vm_memory_used_bytes")
		}
		until("12:15:00")
		l.good()
	})
}

func TestBudgetStops(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.start(sinceNoon, func(c *Config) { c.DailyBudget = 20 })
		until("12:10:00")
		l.good()
		require.Equal(t, 8, l.aws.Asked())
		require.Equal(t, "2304 metrics requested a day: this costs about $0.02 a day; the budget of 20 stops it after 0.2 h", l.Forecast().String())
		until("12:15:00")
		l.good()
		until("12:20:00")
		metrics, err := l.once()
		var spent *cloud.BudgetError
		require.ErrorAs(t, err, &spent)
		require.Equal(t, 16, l.aws.Asked(), "not one more")
		require.Empty(t, staleOf(metrics), "what is not asked has not ended")
		require.InDelta(t, 20, l.meter.Value("collector_billable_units_total"), 0, "and four to learn why metrics are silent")
		l.start(sinceNoon, func(c *Config) { c.DailyBudget = 20 })
		_, err = l.once()
		require.ErrorAs(t, err, &spent, "a new start is no new day")
		later(12 * time.Hour)
		l.good()
		v, _ := l.at(networkIn, time.Now().Truncate(24*time.Hour).Add(-5*time.Minute))
		require.InDelta(t, 143_000, v, 0, "the next day brings what was missed")
	})
}

// TestOnlyNewPeriodsAreAskedFor holds that a short interval does not pay for the same again.
func TestOnlyNewPeriodsAreAskedFor(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.start(sinceNoon, func(c *Config) { c.Interval = time.Minute })
		for at := oclock("12:10:00"); at.Before(oclock("12:20:00")); at = at.Add(time.Minute) {
			later(time.Until(at.Add(500 * time.Millisecond)))
			l.good()
		}
		require.Equal(t, 2*7+10*1, l.aws.Asked(), "seven each 5 minutes, the status each minute")
	})
}

func TestSelectionTellsAndForgets(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.publish(nsEC2, "CPUUtilization", "Percent", 10, "InstanceId", "i-1")
		l.start(sinceNoon)
		until("12:10:00")
		some, err := l.CollectMetrics(context.Background(), tsdb.MetricsQuery{MetricNames: []string{"vm_network_receive_bytes_total"}})
		require.NoError(t, err)
		require.NoError(t, l.Settle(context.Background(), true))
		require.NotEmpty(t, some)
		for _, m := range some {
			require.Equal(t, "vm_network_receive_bytes_total", m.Name)
		}
		require.Equal(t, 1, l.aws.Asked(), "what is not wanted is not paid for")
		l.good()
		v, ok := l.counted("12:05:00")
		require.True(t, ok, "it is told to who stores it as if nobody had looked")
		require.InDelta(t, 1000, v, 0)
		_, err = l.CollectMetrics(context.Background(), tsdb.MetricsQuery{Aggregation: "sum"})
		require.Error(t, err)
	})
}

func TestRegionsSideBySide(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.machine(func(m *fakecloud.Machine) { m.ID, m.Region = "i-2", "us-east-1" })
		l.aws.AddSeries(fakecloud.Series{Region: "us-east-1", Namespace: nsEC2, Name: "NetworkIn", Unit: "Bytes", Dimensions: map[string]string{"InstanceId": "i-2"},
			Step: 5 * time.Minute, Value: func(time.Time) (float64, bool) { return 7, true }})
		l.start(sinceNoon, func(c *Config) { c.Regions = []string{"us-east-1", testRegion, "ap-south-1"} })
		l.aws.Fault = func(c fakecloud.Call) fakecloud.Fault {
			if c.Region == "ap-south-1" {
				return fakecloud.Fault{Status: 403, Code: "OptInRequired"}
			}
			return fakecloud.Fault{}
		}
		until("12:10:00")
		_, err := l.once()
		require.ErrorContains(t, err, "in ap-south-1")
		_, ok := l.counted("12:05:00")
		require.True(t, ok)
		_, ok = l.at(`vm_network_receive_bytes_total,cloud_region="us-east-1",interface="_all",vm_id="i-2"`, oclock("12:05:00"))
		require.True(t, ok, "one region that fails keeps no other back")
	})
}

func TestFiltersSelectMachines(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.machine(func(m *fakecloud.Machine) { m.ID, m.Tags = "i-2", map[string]string{"env": "prod"} })
		l.start(func(c *Config) { c.Filters = map[string][]string{"tag:env": {"prod"}} })
		for _, m := range l.good() {
			require.Equal(t, "i-2", m.Labels["vm_id"])
		}
	})
}

func TestDetailedMonitoringIsReadByTheMinute(t *testing.T) {
	inLab(t, func(l *lab) {
		l.machine(func(m *fakecloud.Machine) { m.Detailed = true })
		l.aws.AddSeries(fakecloud.Series{Region: testRegion, Namespace: nsEC2, Name: "NetworkIn", Unit: "Bytes", Dimensions: map[string]string{"InstanceId": "i-1"},
			Step: time.Minute, Value: func(time.Time) (float64, bool) { return 10, true }})
		l.start(sinceNoon)
		until("12:10:00")
		l.good()
		for i := range 7 {
			v, ok := l.at(networkIn, oclock(fmt.Sprintf("12:%02d:00", i+1)))
			require.True(t, ok)
			require.InDelta(t, 10*(i+1), v, 0)
		}
	})
}

// TestMonitoringThatSwitches holds that what came by the minute does not come again by five.
func TestMonitoringThatSwitches(t *testing.T) {
	inLab(t, func(l *lab) {
		network := func(step time.Duration) {
			l.aws.AddSeries(fakecloud.Series{Region: testRegion, Namespace: nsEC2, Name: "NetworkIn", Unit: "Bytes", Dimensions: map[string]string{"InstanceId": "i-1"},
				Step: step, Value: func(time.Time) (float64, bool) { return 10 * step.Minutes(), true }})
		}
		switched := func(detailed bool) {
			l.machine(func(m *fakecloud.Machine) { m.Detailed = detailed })
			network(map[bool]time.Duration{true: time.Minute, false: 5 * time.Minute}[detailed])
		}
		switched(true)
		l.start(sinceNoon)
		for at := oclock("12:05:00"); !at.After(oclock("13:30:00")); at = at.Add(5 * time.Minute) {
			later(time.Until(at.Add(500 * time.Millisecond)))
			if at.Equal(oclock("12:30:00")) || at.Equal(oclock("13:00:00")) {
				switched(at.Equal(oclock("13:00:00")))
			}
			l.good()
		}
		for at, v := range l.stored[networkIn] {
			require.LessOrEqual(t, v, 10*time.UnixMilli(at).Sub(oclock("12:00:00")).Minutes(), "%v", time.UnixMilli(at).UTC())
		}
		v, ok := l.counted("13:25:00")
		require.True(t, ok)
		require.InDelta(t, 850, v, 50, "what falls between minutes and five of them is less than five")
	})
}

func TestXenHasNoEBSMetrics(t *testing.T) {
	inLab(t, func(l *lab) {
		l.machine(func(m *fakecloud.Machine) { m.Type = "m3.medium" })
		l.start(sinceNoon)
		until("12:10:00")
		l.good()
		require.Equal(t, 4, l.aws.Asked(), "what the machine cannot have is not paid for")
	})
}

func TestTooManyMetrics(t *testing.T) {
	inLab(t, func(l *lab) {
		l.traffic()
		l.start(sinceNoon, func(c *Config) { c.Limits.Metrics = 3 })
		until("12:10:00")
		_, err := l.once()
		require.ErrorContains(t, err, "8 metrics of CloudWatch are selected, at most 3 are asked for")
		require.Equal(t, 3, l.aws.Asked())
	})
}
