package collect

import "time"

// Progress is what a collector tells of how far it is and what it costs.
type Progress struct {
	// Watermark is up to when everything is final; another collector of the source begins there. Zero is unknown.
	Watermark time.Time
	// ForecastUnits are the billable units that this day comes to at the present rate, ForecastCost what they cost.
	ForecastUnits, ForecastCost float64
	// Pauses are the APIs that must not be called yet; another collector of the source holds to them.
	Pauses []Pause
	// Spent is what is used of the day's budget; another collector of the source goes on from there.
	Spent Spending
}

// Spending is what was used of the billable units of a day.
type Spending struct {
	// Day is in UTC, as 2006-01-02.
	Day   string `json:"day"`
	Units int    `json:"units"`
}

// Pause says until when an account's API must not be called, as the API asked.
type Pause struct {
	Account string    `json:"account"`
	API     string    `json:"api"`
	Until   time.Time `json:"until"`
}

// Progresser is a collector that tells. It is asked after Settle.
type Progresser interface{ Progress() Progress }
