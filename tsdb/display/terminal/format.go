package terminal

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// scale is a unit as people write it: value / divisor, followed by suffix.
type scale struct {
	divisor float64
	suffix  string
}

// ladders are the scales of a unit, from the smallest.
var ladders = map[string][]scale{
	"bytes": {{1, "B"}, {1 << 10, "KiB"}, {1 << 20, "MiB"}, {1 << 30, "GiB"}, {1 << 40, "TiB"}, {1 << 50, "PiB"}},
	"seconds": {
		{1e-9, "ns"}, {1e-6, "µs"}, {1e-3, "ms"}, {1, "s"}, {60, "min"}, {3600, "h"}, {86400, "d"},
	},
	"ratio":   {{0.01, "%"}},
	"percent": {{1, "%"}},
	"hertz":   {{1, "Hz"}, {1e3, "kHz"}, {1e6, "MHz"}, {1e9, "GHz"}},
	"watts":   {{1, "W"}, {1e3, "kW"}, {1e6, "MW"}},
	"celsius": {{1, "°C"}}, "volts": {{1, "V"}}, "joules": {{1, "J"}, {1e3, "kJ"}, {1e6, "MJ"}}, "amperes": {{1, "A"}},
	"": {{1, ""}, {1e3, "k"}, {1e6, "M"}, {1e9, "G"}, {1e12, "T"}},
}

// scaleFor is the largest scale in which a value is at least 1.
func scaleFor(v float64, unit string) scale {
	base, rate := strings.CutSuffix(unit, "/s")
	ladder, known := ladders[base]
	if !known {
		ladder = ladders[""]
	}
	best := ladder[0]
	if base == "seconds" && v == 0 {
		best = ladder[3]
	}
	for _, s := range ladder {
		if math.Abs(v) >= s.divisor*0.9999995 { // which rounds to 1
			best = s
		}
	}
	if rate {
		best.suffix += "/s"
	}
	return best
}

// format writes a value with its unit, in three or four figures.
func (p *picture) format(v float64) string {
	if p.unit == "timestamp" && math.Abs(v) < 1e11 {
		return time.Unix(int64(v), 0).UTC().Format("2006-01-02 15:04:05")
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	s := scaleFor(v, p.unit)
	if s.divisor > 1 && math.Abs(v/s.divisor) >= 1e6 && !strings.ContainsAny(s.suffix, "Bsh/") {
		s = scale{divisor: 1}
	}
	return p.suffixed(significant(v/s.divisor), s)
}

// suffixed keeps to ASCII where it must.
func (p *picture) suffixed(digits string, s scale) string {
	suffix := s.suffix
	if p.ASCII {
		suffix = strings.NewReplacer("µ", "u", "°", "").Replace(suffix)
	}
	return digits + suffix
}

func significant(v float64) string {
	if abs := math.Abs(v); abs >= 1e6 || abs < 1e-3 && abs > 0 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	decimals := 2
	for abs := math.Abs(v); abs < 1 && abs > 0 && decimals < 5; abs *= 10 {
		decimals++
	}
	for abs := math.Abs(v); abs >= 10 && decimals > 0; abs /= 10 {
		decimals--
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		return "0"
	}
	return text
}

// ticks writes values that are a step apart, all in one scale and with as many decimals as the step needs.
func (p *picture) ticks(values []float64, step float64) []string {
	texts := make([]string, len(values))
	most := 0.0
	for _, v := range values {
		most = max(most, math.Abs(v))
	}
	s := scaleFor(most, p.unit)
	small := step / s.divisor
	for i, v := range values {
		switch {
		case p.unit == "timestamp" || !(small > 1e-6) || most/s.divisor >= 1e6:
			texts[i] = p.format(v)
		default:
			decimals := 0
			for part := small; decimals < 6 && math.Abs(part-math.Round(part)) > 1e-6; part *= 10 {
				decimals++
			}
			texts[i] = p.suffixed(strconv.FormatFloat(v/s.divisor+0, 'f', decimals, 64), s)
		}
	}
	return texts
}
