package collect

import (
	"math"
	"strings"
)

// Conversion takes a native value to its base unit.
type Conversion struct {
	// Unit is the base unit; empty for plain numbers.
	Unit   string
	Factor float64
}

// Apply converts a value.
func (c Conversion) Apply(v float64) float64 { return v * c.Factor }

// scales are the units that CloudWatch forms of prefixes, smallest first.
var scales = []string{"", "Kilo", "Mega", "Giga", "Tera"}

// FromCloudWatch converts a StandardUnit of CloudWatch; ok is false for one that is not known.
func FromCloudWatch(unit string) (c Conversion, ok bool) {
	amount, perSecond := strings.CutSuffix(unit, "/Second")
	c, ok = cloudWatchAmount(amount)
	if ok && perSecond && c.Unit != "" {
		c.Unit += "_per_second"
	}
	return c, ok
}

func cloudWatchAmount(unit string) (Conversion, bool) {
	for n, scale := range scales {
		rest, _ := strings.CutPrefix(strings.ToLower(unit), strings.ToLower(scale))
		switch rest {
		case "bytes":
			return Conversion{"bytes", math.Pow(1024, float64(n))}, true
		case "bits":
			return Conversion{"bytes", 0.125 * math.Pow(1000, float64(n))}, true
		}
	}
	c, ok := map[string]Conversion{
		"Seconds": {"seconds", 1}, "Milliseconds": {"seconds", 1e-3}, "Microseconds": {"seconds", 1e-6},
		"Percent": {"ratio", 0.01}, "Count": {"", 1}, "None": {"", 1}, "": {"", 1},
	}[unit]
	return c, ok
}

// FromAzure converts a MetricUnit of Azure Monitor.
func FromAzure(unit string) (c Conversion, ok bool) {
	c, ok = map[string]Conversion{
		"Count": {"", 1}, "CountPerSecond": {"per_second", 1}, "Bytes": {"bytes", 1}, "BytesPerSecond": {"bytes_per_second", 1},
		"Seconds": {"seconds", 1}, "MilliSeconds": {"seconds", 1e-3}, "Percent": {"ratio", 0.01}, "ByteSeconds": {"byte_seconds", 1},
		"Cores": {"cores", 1}, "MilliCores": {"cores", 1e-3}, "NanoCores": {"cores", 1e-9}, "BitsPerSecond": {"bytes_per_second", 0.125},
		"Unspecified": {"", 1},
	}[unit]
	return c, ok
}

// FromUCUM converts a unit of a metric descriptor of Google's.
func FromUCUM(unit string) (c Conversion, ok bool) {
	if amount, perSecond := strings.CutSuffix(unit, "/s"); perSecond {
		c, ok = ucumAmount(amount)
		c.Unit = strings.TrimPrefix(c.Unit+"_per_second", "_")
		return c, ok
	}
	return ucumAmount(unit)
}

func ucumAmount(unit string) (Conversion, bool) {
	unit, _, _ = strings.Cut(unit, "{") // an annotation says of what, as in s{CPU}
	c, ok := map[string]Conversion{
		"By": {"bytes", 1}, "KiBy": {"bytes", 1 << 10}, "MiBy": {"bytes", 1 << 20}, "GiBy": {"bytes", 1 << 30},
		"TiBy": {"bytes", 1 << 40}, "kBy": {"bytes", 1e3}, "MBy": {"bytes", 1e6}, "GBy": {"bytes", 1e9}, "bit": {"bytes", 0.125},
		"s": {"seconds", 1}, "ms": {"seconds", 1e-3}, "us": {"seconds", 1e-6}, "ns": {"seconds", 1e-9},
		"min": {"seconds", 60}, "h": {"seconds", 3600}, "d": {"seconds", 86400},
		"%": {"ratio", 0.01}, "10^2.%": {"ratio", 1}, "1": {"", 1}, "": {"", 1},
	}[unit]
	return c, ok
}
