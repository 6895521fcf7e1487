package gossip

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/hashicorp/memberlist"
)

// Limits of what a member says about itself, in bytes.
const (
	maxRole    = 32
	maxVersion = 64
)

// Metadata is one format byte and then fields: tag, length, value, each tag at most once and in rising order. Unknown
// tags are skipped, so that the next release can add fields while this one still runs.
const (
	metaFormat = 1

	tagID      = 1 // 16 bytes
	tagRole    = 2
	tagVersion = 3
	tagLeaving = 4 // empty; present while the member is leaving on purpose
)

// meta is what a member tells about itself. memberlist panics above 512 bytes, so it is id, role and version only.
type meta struct {
	id      uuid.UUID
	role    string
	version string
	leaving bool
}

func (m meta) validate() error {
	if m.id == uuid.Nil {
		return fmt.Errorf("%w: the id is zero", ErrMeta)
	}
	if err := validateText("role", m.role, maxRole); err != nil {
		return err
	}
	return validateText("version", m.version, maxVersion)
}

func validateText(field, s string, limit int) error {
	if s == "" || len(s) > limit {
		return fmt.Errorf("%w: %s has %d bytes, want 1 to %d", ErrMeta, field, len(s), limit)
	}
	if strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' }) >= 0 {
		return fmt.Errorf("%w: %s %q has characters outside printable ASCII", ErrMeta, field, s)
	}
	return nil
}

func (m meta) encode() ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	b := []byte{metaFormat}
	b = appendField(b, tagID, m.id[:])
	b = appendField(b, tagRole, []byte(m.role))
	b = appendField(b, tagVersion, []byte(m.version))
	if m.leaving {
		b = appendField(b, tagLeaving, nil)
	}
	if len(b) > memberlist.MetaMaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrMeta, len(b), memberlist.MetaMaxSize)
	}
	return b, nil
}

func appendField(b []byte, tag byte, value []byte) []byte {
	return append(append(b, tag, byte(len(value))), value...)
}

// decodeMeta reads metadata of unknown origin.
func decodeMeta(b []byte) (meta, error) {
	if len(b) < 1 || len(b) > memberlist.MetaMaxSize || b[0] != metaFormat {
		return meta{}, fmt.Errorf("%w: %d bytes of no known format, want format %d and at most %d bytes", ErrMeta, len(b), metaFormat, memberlist.MetaMaxSize)
	}
	var m meta
	last := byte(0)
	for b = b[1:]; len(b) > 0; {
		if len(b) < 2 || len(b) < 2+int(b[1]) || b[0] <= last {
			return meta{}, fmt.Errorf("%w: field after tag %d is cut or out of order", ErrMeta, last)
		}
		last = b[0]
		if err := m.set(last, b[2:2+int(b[1])]); err != nil {
			return meta{}, err
		}
		b = b[2+int(b[1]):]
	}
	return m, m.validate()
}

func (m *meta) set(tag byte, value []byte) (err error) {
	switch tag {
	case tagID:
		if m.id, err = uuid.FromBytes(value); err != nil {
			return fmt.Errorf("%w: id: %w", ErrMeta, err)
		}
	case tagRole:
		m.role = string(value)
	case tagVersion:
		m.version = string(value)
	case tagLeaving:
		m.leaving = true
	}
	return nil
}
