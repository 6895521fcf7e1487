package remotewrite

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// spread is on how many hosts the series of one sender lie at most: enough that no host has all of a large sender, few
// enough that a request is not torn into crumbs.
const spread = 8

// Host is an agent that takes remote write.
type Host struct {
	Name string
	// URL is where its API is.
	URL string
}

// chosen are the hosts of a sender, and place finds that of a series. Both rank by hash (rendezvous hashing, Thaler and
// Ravishankar 1996): a host that is lost moves its own series alone.
func chosen(hosts []Host, sender string) []Host {
	ranked := slices.Clone(hosts)
	slices.SortFunc(ranked, func(a, b Host) int {
		return cmp.Or(cmp.Compare(rank(b.Name, sender), rank(a.Name, sender)), cmp.Compare(a.Name, b.Name))
	})
	return ranked[:min(len(ranked), spread)]
}

func place(hosts []Host, labels []string) (best int) {
	var highest uint64
	for i, host := range hosts {
		if r := rank(host.Name, labels...); i == 0 || r > highest || r == highest && host.Name < hosts[best].Name {
			best, highest = i, r
		}
	}
	return best
}

// rank hashes texts apart from each other (FNV-1a), and spreads the last bytes over all bits (the finaliser of
// MurmurHash3).
func rank(host string, texts ...string) uint64 {
	hash := fnv.New64a()
	for _, text := range texts {
		_, _ = hash.Write([]byte(text)) // a hash takes everything
		_, _ = hash.Write([]byte{0xff}) // no byte of UTF-8
	}
	_, _ = hash.Write([]byte(host))
	h := hash.Sum64()
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
