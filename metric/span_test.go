package metric

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestLengthsOfTimeInMessages(t *testing.T) {
	for d, want := range map[time.Duration]string{
		24 * time.Hour: "24h", time.Minute: "1m", time.Second: "1s", 90 * time.Minute: "1h30m", 0: "0s", time.Hour + time.Second: "1h0m1s", 70 * time.Minute: "1h10m",
	} {
		assert.Equal(t, want, span(d))
	}
}
