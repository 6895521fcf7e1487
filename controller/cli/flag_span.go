package cli

import (
	"errors"
	"time"

	"github.com/spf13/pflag"

	"github.com/novacron/novacron/tsdb"
)

// span is a flag for a length of time, written as everywhere: 90d, 1h30m, 250ms.
type span struct {
	value *time.Duration
	// above refuses nothing at all.
	above bool
}

// spanVar registers a length of time; a default of 0 is left to whoever reads it.
func spanVar(fs *pflag.FlagSet, into *time.Duration, name string, usual time.Duration, usage string) *span {
	*into = usual
	s := &span{value: into}
	fs.Var(s, name, usage)
	return s
}

// String is the length of time, empty for none.
func (s *span) String() string {
	if s.value == nil || *s.value == 0 {
		return ""
	}
	return formatDuration(*s.value)
}

// Set reads a length of time.
func (s *span) Set(text string) error {
	d, err := tsdb.ParseDuration(text)
	if err == nil && s.above && d <= 0 {
		return errors.New("give a length of time above zero, such as 30s")
	}
	*s.value = time.Duration(d)
	return err
}

// Type is what help shows as the placeholder.
func (s *span) Type() string { return "duration" }

// formatDuration writes a length of time as flags take it: 10m, 1h30m, 7d.
func formatDuration(d time.Duration) string { return tsdb.Duration(d).String() }
