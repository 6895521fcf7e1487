package cli

import (
	"bufio"
	"fmt"
	"strings"
)

// confirm asks before something is lost. Without a terminal to ask on, the user must have said yes before.
func (a *app) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !a.io.InTTY {
		return usageError{fmt.Errorf("there is no terminal to ask on: %s", question), "say --yes"}
	}
	fmt.Fprintf(a.io.Err, "%s [y/N] ", clean(question))
	answer, _ := bufio.NewReader(a.io.In).ReadString('\n') // no answer is a no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &fault{what: "nothing was done"}
}
