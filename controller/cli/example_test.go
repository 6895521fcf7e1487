package cli

import (
	"bytes"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/pki"
)

// TestExamplesAreUnderstood holds that every line that help shows as an example names a command, its flags and as many
// arguments as it takes. Those about metrics are run, too: what they lack is the things that they name, never sense.
func TestExamplesAreUnderstood(t *testing.T) {
	ca := newAuthority(t)
	f := startFake(t, ca, pki.RoleController)
	config := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, SaveContext(config, NewContext("lab", []string{f.address}, ca.material("root", pki.RoleAdmin))))
	for _, cmd := range everyCommand(New(IO{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})) {
		for _, example := range examples(cmd.Long) {
			t.Run(example, func(t *testing.T) {
				words := shellWords(example)
				if !slices.Contains([]string{"controller", "agent"}, words[1]) { // which the program adds
					requireParses(t, words[1:])
				}
				if words[1] == "metric" {
					t.Chdir(t.TempDir())
					requireSense(t, words[1:], config)
				}
			})
		}
	}
}

// examples are the lines of a help that show a call of this program.
func examples(long string) (lines []string) {
	for line := range strings.SplitSeq(long, "\n") {
		if strings.HasPrefix(line, "  novacron ") {
			line, _, _ = strings.Cut(line, "     ") // a word on it, as in the help of all
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// shellWords are the words of a line up to what belongs to the shell, without quotes. What another command
// says in between is one word.
func shellWords(line string) (words []string) {
	line = regexp.MustCompile(`\$\([^)]*\)`).ReplaceAllString(line, "word")
	quote, word, inside := rune(0), strings.Builder{}, false
	end := func() {
		if inside {
			words = append(words, word.String())
		}
		word.Reset()
		inside = false
	}
	for _, c := range line {
		switch {
		case c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inside = c, true
		case quote == 0 && c == ' ':
			end()
		case quote == 0 && !inside && strings.ContainsRune("<>|", c):
			return words
		default:
			word.WriteRune(c)
			inside = true
		}
	}
	end()
	return words
}

func requireParses(t *testing.T, args []string) {
	t.Helper()
	root := New(IO{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
	cmd, rest, err := root.Find(args)
	require.NoError(t, err)
	require.False(t, cmd.HasSubCommands(), "%s needs a command", cmd.CommandPath())
	require.NoError(t, cmd.ParseFlags(rest))
	require.NoError(t, cmd.ValidateArgs(cmd.Flags().Args()))
	require.NoError(t, cmd.ValidateRequiredFlags())
}

// requireSense runs a command, which may fail, but not for how it was called.
func requireSense(t *testing.T, args []string, config string) {
	t.Helper()
	var out, errs bytes.Buffer
	s := IO{In: strings.NewReader(""), Out: &out, Err: &errs, Env: func(string) string { return "" }, Home: t.TempDir(), Now: clock}
	root := New(s)
	root.SetArgs(append([]string{"--config", config}, args...))
	err := root.ExecuteContext(t.Context())
	PrintError(s, err)
	assert.NotEqual(t, ExitCode(usageError{}), ExitCode(err), "%s", errs.String())
}
