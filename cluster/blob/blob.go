// Package blob keeps content-addressed files, named by the SHA-256 of their bytes, and fetches missing ones from peers.
package blob

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// Sentinel errors. Match them with errors.Is.
var (
	// ErrBadHash means that a name is not 64 lower-case hexadecimal digits.
	ErrBadHash = errors.New("blob: bad hash")
	// ErrHashMismatch means that bytes do not have the promised hash; the error is a *MismatchError.
	ErrHashMismatch = errors.New("blob: the content has another hash")
	// ErrNotFound means that the store does not hold the file.
	ErrNotFound = errors.New("blob: not found")
	// ErrTooLarge means that a file is longer than Limits.MaxSize or than announced.
	ErrTooLarge = errors.New("blob: the file is too large")
	// ErrQuota means that the store would grow beyond Limits.Quota.
	ErrQuota = errors.New("blob: the quota of the store is used up")
	// ErrNoSpace means that the file system would keep less than Limits.MinFree.
	ErrNoSpace = errors.New("blob: not enough free space")
	// ErrFetch means that no source delivered the file; the error lists each failure.
	ErrFetch = errors.New("blob: no source delivered the file")
	// ErrStalled means that a source made no progress for Limits.Stall.
	ErrStalled = errors.New("blob: the source made no progress")
	// ErrShort means that a source ended before the announced size.
	ErrShort = errors.New("blob: the source ended too early")
)

// MismatchError names both hashes.
type MismatchError struct{ Want, Got string }

// Error says which hash was expected and which came.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("%v: expected %s, got %s", ErrHashMismatch, e.Want, e.Got)
}

// Is makes errors.Is(err, ErrHashMismatch) hold.
func (e *MismatchError) Is(target error) bool { return target == ErrHashMismatch }

// hashLength is the length of a hash in hexadecimal digits.
const hashLength = 64

// CheckHash accepts exactly the names that a store uses: 64 lower-case hexadecimal digits.
func CheckHash(hash string) error {
	if len(hash) != hashLength {
		return fmt.Errorf("%w: %d characters, expected %d lower-case hexadecimal digits", ErrBadHash, len(hash), hashLength)
	}
	for i := range len(hash) {
		if c := hash[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("%w: %q at position %d is not a lower-case hexadecimal digit", ErrBadHash, c, i)
		}
	}
	return nil
}

// hexSum renders a sum as a hash.
func hexSum(sum []byte) string { return hex.EncodeToString(sum) }
