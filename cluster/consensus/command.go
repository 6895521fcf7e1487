package consensus

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A log entry is one byte of kind, four of CRC-32C over the kind and the payload, and the payload. Bolt does not
// notice a flipped bit in a value; the sum does, on every node that reads the entry.
const (
	kindCommand byte = 1 // payload goes to the state machine
	kindMarker  byte = 2 // no payload; a new leader appends it to learn that its state machine is current

	commandHeader = 5
)

// encodeEntry wraps a payload for the log.
func encodeEntry(kind byte, payload []byte) []byte {
	out := make([]byte, commandHeader, commandHeader+len(payload))
	out[0] = kind
	binary.BigEndian.PutUint32(out[1:], entrySum(kind, payload))
	return append(out, payload...)
}

// decodeEntry checks an entry and returns its kind and payload, which aliases b.
func decodeEntry(b []byte) (kind byte, payload []byte, err error) {
	if len(b) < commandHeader {
		return 0, nil, fmt.Errorf("%w: entry of %d bytes, at least %d needed", ErrCorrupt, len(b), commandHeader)
	}
	kind, payload = b[0], b[commandHeader:]
	if want, got := binary.BigEndian.Uint32(b[1:]), entrySum(kind, payload); got != want {
		return 0, nil, fmt.Errorf("%w: entry checksum %08x, expected %08x", ErrCorrupt, got, want)
	}
	if kind != kindCommand && kind != kindMarker {
		return 0, nil, fmt.Errorf("%w: entry kind %d", ErrUpgrade, kind)
	}
	return kind, payload, nil
}

func entrySum(kind byte, payload []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum([]byte{kind}, table), table, payload)
}
