package block

import (
	"fmt"
	"hash/crc32"
)

// The files of a block.
const (
	metaName       = "meta.json"
	indexName      = "index"
	tombstonesName = "tombstones"
	// unfinished and condemned end the names of folders that are no blocks yet, or no longer.
	unfinished = ".tmp"
	condemned  = ".gone"
)

func segmentName(n int) string { return fmt.Sprintf("chunks-%06d", n+1) }

// A place in the chunks is the number of its segment, from 0 on, and the offset of its first byte in that file.
const (
	offsetBits = 29
	// maxSegment is the greatest size of a segment, so that an offset fits.
	maxSegment = 1 << offsetBits
)

func placeOf(segment int, offset int64) uint64 { return uint64(segment)<<offsetBits | uint64(offset) }

func segmentOf(place uint64) int { return int(place >> offsetBits) }

func offsetOf(place uint64) int64 { return int64(place & (maxSegment - 1)) }

// segmentHeader begins each segment: a name and the version.
const segmentHeader = "NCCK\x01\x00\x00\x00"

// sumSize is the length of a checksum.
const sumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
