package sim_test

import (
	"math"
	"testing"

	"github.com/novacron/novacron/tsdb/chunk"
)

// TestMain packs and unpacks values before any test does: what packs them is made once for the process, and made in a
// bubble of testing/synctest it could not be used outside of it.
func TestMain(m *testing.M) {
	values := make([]float64, 200)
	for i := range values {
		values[i] = math.Sqrt(float64(2 + i%5))
	}
	if _, err := chunk.DecodeValues(nil, chunk.AppendValues(nil, values), len(values)); err != nil {
		panic(err)
	}
	m.Run()
}
