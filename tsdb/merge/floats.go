package merge

import "github.com/prometheus/prometheus/tsdb/chunkenc"

// Floats gives the next samples in order of time, from a time on, as arrays: as many as stand together in one chunk. The
// arrays hold until the next call, nothing in them may be changed, and starts is empty where no counter tells since when
// it counts. The type is that of the samples, ValNone at the end and after an error; of histograms there are no arrays.
// It is not to be called between other steps of a walk.
func (it *Iterator) Floats(from int64) (times []int64, values []float64, starts []int64, kind chunkenc.ValueType) {
	it.skipTo(from)
	run, ok := it.NextRun()
	if !ok {
		return nil, nil, nil, chunkenc.ValNone
	}
	return run.Times, run.Values, run.Starts, run.Type
}
