package collect

import "time"

// Progress is what a collector tells of how far it is and what it costs.
type Progress struct {
	// Watermark is up to when everything is final; another collector of the source begins there. Zero is unknown.
	Watermark time.Time
	// ForecastUnits are the billable units that this day comes to at the present rate, ForecastCost what they cost.
	ForecastUnits, ForecastCost float64
}

// Progresser is a collector that tells. It is asked after Settle.
type Progresser interface{ Progress() Progress }
