package state

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSizesInWords(t *testing.T) {
	for bytes, want := range map[uint64]string{0: "0 bytes", 1: "1 bytes", 1024: "1 KiB", 10 << 20: "10 MiB", 3 << 29: "1536 MiB", 2 << 50: "2048 TiB"} {
		assert.Equal(t, want, sizeText(bytes))
	}
}
