package cli

import (
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// IO is everything of the outside world that commands touch, besides files that the user names and the network.
// In, Out and Err must be set; the zero value of every other field is usable.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
	// Whether the stream is a terminal.
	InTTY, OutTTY, ErrTTY bool
	// Env looks up an environment variable; nil knows none.
	Env func(string) string
	// Home is the user's home directory.
	Home string
	// Now is the clock that ages are told by; nil means time.Now.
	Now func() time.Time
	// Width is the number of columns of the terminal behind Err; nil or 0 means unknown.
	Width func() int
	// Size is that of the terminal behind Out in columns and lines; nil or 0 means unknown.
	Size func() (width, height int)
	// MakeRaw passes keys on as they are typed until restore is called; nil does so where In is a terminal's file.
	MakeRaw func() (restore func() error, err error)
}

// SystemIO is the IO of this process.
func SystemIO() IO {
	home, _ := os.UserHomeDir() // without one, --config or NOVACRON_CONFIG must say where
	return IO{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTTY: isTTY(os.Stdin), OutTTY: isTTY(os.Stdout), ErrTTY: isTTY(os.Stderr),
		Env: os.Getenv, Home: home, Width: stderrWidth, Size: stdoutSize,
	}.withDefaults()
}

func (s IO) withDefaults() IO {
	if s.Env == nil {
		s.Env = func(string) string { return "" }
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Width == nil {
		s.Width = func() int { return 0 }
	}
	if s.Size == nil {
		s.Size = func() (int, int) { return 0, 0 }
	}
	if file, ok := s.In.(*os.File); ok && s.InTTY && s.MakeRaw == nil {
		s.MakeRaw = func() (func() error, error) { return makeRaw(file) }
	}
	return s
}

func isTTY(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func stderrWidth() int {
	width, _, err := term.GetSize(int(os.Stderr.Fd()))
	if err != nil {
		return 0
	}
	return width
}

func stdoutSize() (width, height int) {
	width, height, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}

func makeRaw(terminal *os.File) (restore func() error, err error) {
	fd := int(terminal.Fd())
	old, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	return func() error { return term.Restore(fd, old) }, nil
}
