package query

import (
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// PackHistogram is the histogram of a point as io.prometheus.write.v2.Histogram, which has NaN and infinities, as JSON has not.
func PackHistogram(p Point) ([]byte, error) {
	message := writev2.FromFloatHistogram(0, p.T, p.H)
	return message.Marshal()
}

// UnpackHistogram gives a point the histogram that PackHistogram has packed.
func UnpackHistogram(packed []byte, into *Point) error {
	var message writev2.Histogram
	if err := message.Unmarshal(packed); err != nil {
		return err
	}
	into.H = message.ToFloatHistogram()
	return nil
}
