package gcpmonitoring

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// processor is the series of one, with a value for each minute after noon; one below 0 is missing.
func processor(number string, values ...float64) *native {
	n := &native{metric: tl("cpu_number", number, "cpu_state", "user"), resource: tl("instance_id", "11"), resourceType: "gce_instance"}
	for i, v := range values {
		if v >= 0 {
			n.points = append(n.points, collect.Point{Time: noon.Add(time.Duration(i) * time.Minute), Value: v})
		}
	}
	return n
}

// TestSumsAreOfAll holds that a counter that is summed over processors never falls because one of them is missing.
func TestSumsAreOfAll(t *testing.T) {
	counter := cumulative("x", "vm_cpu_mode_seconds_total").by("cpu_state", "mode")
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	for name, c := range map[string]struct {
		row   row
		cpus  []*native
		final time.Time
		want  map[int]float64
	}{
		"all are there":             {counter, []*native{processor("0", 1, 2), processor("1", 10, 20)}, at(0), map[int]float64{0: 11, 1: 22}},
		"one is missing between":    {counter, []*native{processor("0", 1, 2, 3), processor("1", 10, -1, 30)}, at(2), map[int]float64{0: 11, 2: 33}},
		"one has not come yet":      {counter, []*native{processor("0", 1, 2, 3), processor("1", 10, 20, -1)}, at(1), map[int]float64{0: 11, 1: 22}},
		"one has ended":             {counter, []*native{processor("0", 1, 2, 3), processor("1", 10, -1, -1)}, at(2), map[int]float64{0: 11, 1: 2, 2: 3}},
		"one has begun":             {counter, []*native{processor("0", 1, 2), processor("1", -1, 20)}, at(1), map[int]float64{0: 1, 1: 22}},
		"a mean is over the same":   {gauge("x", "vm_cpu_mode_ratio").by("cpu_state", "mode").byMean(), []*native{processor("0", 1, 2, 3), processor("1", 3, 6, -1)}, at(2), map[int]float64{0: 2, 1: 4, 2: 3}},
		"amounts are what there is": {delta("x", "vm_cpu_seconds_total").by("cpu_state", "mode"), []*native{processor("0", 1, 2), processor("1", 10, -1)}, at(0), map[int]float64{0: 11, 1: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			sums := combine(c.row, c.cpus, c.final)
			require.Len(t, sums, 1)
			require.Equal(t, tl("mode", "user"), sums[0].Labels)
			got := map[int]float64{}
			for _, p := range sums[0].Points {
				got[int(p.Time.Sub(noon)/time.Minute)] = p.Value
			}
			require.Equal(t, c.want, got)
		})
	}
}
