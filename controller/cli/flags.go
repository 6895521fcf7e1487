package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// widestChoice is how many characters of words stand between a flag and its meaning in help.
const widestChoice = 30

// choice is a flag that takes one of a few words.
type choice struct {
	value   string
	allowed []string
}

// String is the word chosen.
func (c *choice) String() string { return c.value }

// Set refuses words that are not on the list.
func (c *choice) Set(word string) error {
	if !slices.Contains(c.allowed, word) {
		return fmt.Errorf("use %s", alternatives(c.allowed))
	}
	c.value = word
	return nil
}

// Type is what help shows as the placeholder. Where the words take too much room, the flag's usage lists them.
func (c *choice) Type() string {
	if all := strings.Join(c.allowed, "|"); len(all) <= widestChoice {
		return all
	}
	return "word"
}

// anyGiven tells whether the command was given a flag of its own.
func anyGiven(cmd *cobra.Command) (given bool) {
	cmd.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) { given = given || flag.Changed })
	return given
}

// alternatives writes "a, b or c".
func alternatives(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// pairs is a repeatable flag of key=value.
type pairs map[string]string

// String lists the pairs by key.
func (p *pairs) String() string { return joinPairs(*p) }

// Set adds one pair, or several with commas between.
func (p *pairs) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(part, "=")
		if !ok || key == "" {
			return fmt.Errorf("%q is not key=value", part)
		}
		if *p == nil {
			*p = pairs{}
		}
		(*p)[key] = value
	}
	return nil
}

// Type is what help shows as the placeholder.
func (p *pairs) Type() string { return "key=value" }

// size is a flag for an amount in MiB or GiB.
type size struct {
	value uint64
	parse func(string) (uint64, error)
	unit  string
}

// String is the amount in the flag's unit.
func (s *size) String() string {
	if s.value == 0 {
		return ""
	}
	return fmt.Sprintf("%d%s", s.value, s.unit)
}

// Set reads an amount with or without a unit.
func (s *size) Set(text string) (err error) {
	s.value, err = s.parse(text)
	return err
}

// Type is what help shows as the placeholder.
func (s *size) Type() string { return "size" }
