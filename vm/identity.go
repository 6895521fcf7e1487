package vm

import (
	"fmt"
	"io"

	"github.com/google/uuid"
)

// NewUUID draws a version 4 UUID from a source of randomness.
func NewUUID(r io.Reader) (string, error) {
	id, err := uuid.NewRandomFromReader(r)
	if err != nil {
		return "", fmt.Errorf("draw a UUID: %w", err)
	}
	return id.String(), nil
}

// NewMAC draws a MAC address in 52:54:00, the range of QEMU guests, from a source of randomness.
func NewMAC(r io.Reader) (string, error) {
	var b [3]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", fmt.Errorf("draw a MAC address: %w", err)
	}
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", b[0], b[1], b[2]), nil
}
