package host

import (
	"fmt"
	"strconv"
	"strings"
)

// Stall is one line of a file of pressure stall information.
type Stall struct {
	// Seconds is the total.
	Seconds float64
	// Ratios are the shares of the last 10s, 60s and 300s.
	Ratios map[string]float64
}

// ParsePressure reads the lines «some» and «full» of such a file; an empty one has none.
func ParsePressure(text string) (map[string]Stall, error) {
	stalls := map[string]Stall{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		stall := Stall{Ratios: map[string]float64{}}
		for _, field := range fields[1:] {
			key, value, _ := strings.Cut(field, "=")
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return nil, fmt.Errorf("pressure %.80q: %w", line, err)
			}
			if window, is := strings.CutPrefix(key, "avg"); is {
				stall.Ratios[window+"s"] = v / 100
			} else if key == "total" {
				stall.Seconds = v / 1e6
			}
		}
		stalls[fields[0]] = stall
	}
	return stalls, nil
}
