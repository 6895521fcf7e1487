package query

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnitOf(t *testing.T) {
	for expr, want := range map[string]string{
		`vm_memory_used_bytes{vm_name="a"}`:                                  "bytes",
		`sum by (host) (rate(vm_disk_read_bytes_total[5m]))`:                 "bytes/s",
		`increase(vm_disk_read_bytes_total[5m])`:                             "bytes",
		`rate(vm_cpu_seconds_total[5m])`:                                     "",
		`avg_over_time(vm_cpu_utilization_ratio[1h])`:                        "ratio",
		`quantile_over_time(0.9, vm_cpu_utilization_ratio[1h])`:              "ratio",
		`count(vm_memory_used_bytes)`:                                        "",
		`topk(5, vm_memory_used_bytes)`:                                      "bytes",
		`vm_memory_used_bytes / vm_memory_total_bytes`:                       "ratio",
		`vm_memory_used_bytes - vm_memory_total_bytes`:                       "bytes",
		`vm_memory_used_bytes * 8`:                                           "",
		`vm_memory_used_bytes > bool 3`:                                      "",
		`vm_memory_used_bytes > 3`:                                           "bytes",
		`1 + vm_memory_used_bytes`:                                           "bytes",
		`time() - timestamp(vm_available)`:                                   "seconds",
		`time() - process_start_time_seconds`:                                "seconds",
		`histogram_quantile(0.95, sum by (le) (rate(x_seconds_bucket[5m])))`: "seconds",
		`histogram_quantile(0.95, rate(x_bytes[5m]))`:                        "bytes",
		`rate(x_seconds_bucket[5m])`:                                         "",
		`rate(x_joules_total[5m])`:                                           "watts",
		`max_over_time(rate(x_bytes_total[1m])[1h:])`:                        "bytes/s",
		`{__name__=~"a_bytes|b_bytes"}`:                                      "",
		`1`:                                                                  "",
		`sum(`:                                                               "",
	} {
		require.Equal(t, want, UnitOf(expr), expr)
	}
}
