package custom

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxSecret bounds a secret, in bytes.
const maxSecret = 64 << 10

// Secret is a password, a token, a key or a certificate: by reference, so that it can change while we run, or as it is.
// The first of its fields that is set counts. It is never shown.
type Secret struct {
	// File is the path of a regular file; white space at its end does not count.
	File string
	// Env is the name of a variable of the agent's environment.
	Env   string
	Value []byte `json:"-"`
}

func (s Secret) isZero() bool { return s.File == "" && s.Env == "" && len(s.Value) == 0 }

// String says where the secret is.
func (s Secret) String() string {
	switch {
	case s.File != "":
		return "file " + s.File
	case s.Env != "":
		return "variable " + s.Env
	case len(s.Value) > 0:
		return "(secret)"
	}
	return ""
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// read finds the secret; what names it in errors.
func (s Secret) read(what string) ([]byte, error) {
	switch {
	case s.File != "":
		return readFile(what, s.File)
	case s.Env != "":
		value := os.Getenv(s.Env)
		if value == "" {
			return nil, fmt.Errorf("%s: the variable %s is not set where the agent runs", what, s.Env)
		}
		return []byte(value), nil
	}
	return s.Value, nil
}

func readFile(what, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %s is no regular file", what, path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	case len(text) > maxSecret:
		return nil, fmt.Errorf("%s: %s has more than %d bytes: it is no secret", what, path, maxSecret)
	}
	text = bytes.TrimRight(text, " \t\r\n")
	if len(text) == 0 {
		return nil, fmt.Errorf("%s: %s is empty", what, path)
	}
	return text, nil
}

// errLineBreak is of a secret that would end its header.
var errLineBreak = errors.New("it has control characters: a header cannot carry them")

// text is a secret for a header.
func (s Secret) text(what string) (string, error) {
	value, err := s.read(what)
	if err != nil {
		return "", err
	}
	if bytes.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%s: %w", what, errLineBreak)
	}
	return string(value), nil
}
