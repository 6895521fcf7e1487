package cli

import (
	"fmt"
	"strings"
)

// each does the same for several names. One failure does not keep the others from being done.
func (a *app) each(names []string, do func(name string) error) error {
	var failures []error
	for _, name := range names {
		if err := do(name); err != nil {
			failures = append(failures, named(names, name, err))
		}
	}
	return joined(failures)
}

// named says which of several names an error is about.
func named(names []string, name string, err error) error {
	if len(names) < 2 {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// tell reports what was done, to people only: in the formats for machines, stdout holds objects.
func (a *app) tell(format string, args ...any) {
	if a.forPeople() {
		fmt.Fprintln(a.io.Out, clean(fmt.Sprintf(format, args...)))
	}
}

func (a *app) forPeople() bool {
	return a.output.value == outTable || a.output.value == outWide
}

// counted writes "the image a" or "2 images: a, b".
func counted(names []string, one, many string) string {
	if len(names) == 1 {
		return fmt.Sprintf("%s %s", one, names[0])
	}
	return fmt.Sprintf("%d %s (%s)", len(names), many, strings.Join(names, ", "))
}
