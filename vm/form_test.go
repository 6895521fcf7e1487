package vm

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestFormsAreWhatTheirExpressionsSay compares with regular expressions, at the limits and wherever chance leads.
func TestFormsAreWhatTheirExpressionsSay(t *testing.T) {
	for name, c := range map[string]struct {
		form form
		want string
	}{
		"name":  {nameForm, `^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`},
		"thing": {thingForm, `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`},
		"label": {labelForm, `^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$`},
		"host":  {hostForm, `^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`},
	} {
		t.Run(name, func(t *testing.T) {
			want := regexp.MustCompile(c.want)
			for length := range 300 {
				text := strings.Repeat("a", length)
				require.Equal(t, want.MatchString(text), c.form.MatchString(text), "%d letters", length)
			}
			rapid.Check(t, func(t *rapid.T) {
				text := rapid.OneOf(rapid.StringOf(rapid.RuneFrom([]rune("aZ09.-_/"))), rapid.String(), rapid.Just("a\n")).Draw(t, "text")
				require.Equal(t, want.MatchString(text), c.form.MatchString(text))
			})
		})
	}
}
