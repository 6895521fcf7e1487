package federate

import (
	"math/rand/v2"

	"github.com/prometheus/prometheus/storage"
)

// sampleSet gives some of the series of a set: one of each stretch of them, so that those next to each other, which are of
// one kind, do not stand for all.
type sampleSet struct {
	storage.SeriesSet
	most int
	read bool
	rest []storage.Series
	now  storage.Series
}

func (s *sampleSet) Next() bool {
	if !s.read {
		s.read = true
		s.draw()
	}
	if len(s.rest) == 0 {
		return false
	}
	s.now, s.rest = s.rest[0], s.rest[1:]
	return true
}

func (s *sampleSet) At() storage.Series { return s.now }

// draw reads all, and keeps some.
func (s *sampleSet) draw() {
	var all []storage.Series
	for s.SeriesSet.Next() {
		all = append(all, s.SeriesSet.At())
	}
	if len(all) <= s.most {
		s.rest = all
		return
	}
	for i := range s.most {
		s.rest = append(s.rest, all[spot(i, s.most, len(all), rand.Uint64())])
	}
}
