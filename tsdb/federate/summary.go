package federate

import (
	"hash/fnv"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// Summary is which labels the series of a shard have. Of labels with few values it has the hashes of all.
type Summary struct {
	// Version changes with the content; 0 is that of no summary.
	Version uint64
	// Labels are all names of labels; the hashes of their values are in order, none where they are too many to list.
	Labels map[string][]uint64
	// Known is what the shard tells besides; it is always that of now.
	Known Known
}

// HashValue is the hash of a label's value in summaries: FNV-1a of 64 bits.
func HashValue(value string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(value)) // a hash takes everything
	return h.Sum64()
}

// Summarize lists labels with their values; what has more than most values is listed without.
func Summarize(values map[string][]string, most int) Summary {
	s := Summary{Labels: make(map[string][]uint64, len(values)), Version: 1}
	for name, all := range values {
		var hashes []uint64
		if len(all) <= most {
			for _, value := range all {
				hashes = append(hashes, HashValue(value))
			}
			slices.Sort(hashes)
		}
		s.Labels[name] = hashes
	}
	s.Version = s.fingerprint()
	return s
}

// fingerprint sums over labels and values, so that their order does not matter.
func (s Summary) fingerprint() uint64 {
	sum := uint64(1)
	for name, hashes := range s.Labels {
		of := HashValue(name)
		sum += of * 0x9e3779b97f4a7c15
		for _, hash := range hashes {
			sum += (of ^ hash) * 0xbf58476d1ce4e5b9
		}
	}
	return max(sum, 1)
}

// MayHave is false only where no series with the summary's labels matches.
func (s Summary) MayHave(matchers []*labels.Matcher) bool {
	return !slices.ContainsFunc(matchers, s.excludes)
}

func (s Summary) excludes(m *labels.Matcher) bool {
	if m.Matches("") {
		return false // series without the label match
	}
	hashes, known := s.Labels[m.Name]
	if !known {
		return true
	}
	wanted := m.SetMatches()
	if m.Type == labels.MatchEqual {
		wanted = []string{m.Value}
	}
	if len(hashes) == 0 || len(wanted) == 0 {
		return false
	}
	return !slices.ContainsFunc(wanted, func(value string) bool {
		_, has := slices.BinarySearch(hashes, HashValue(value))
		return has
	})
}
