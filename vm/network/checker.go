package network

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/novacron/novacron/vm"
)

// checker collects faults.
type checker struct{ faults vm.Faults }

func (c *checker) add(path, value, limit, wayOut string) {
	c.faults = append(c.faults, vm.Fault{Path: path, Value: value, Limit: limit, WayOut: wayOut})
}

// join takes over the faults of another check.
func (c *checker) join(err error) {
	if faults := (vm.Faults)(nil); errors.As(err, &faults) {
		c.faults = append(c.faults, faults...)
	}
}

func (c *checker) oneOf(path, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	c.add(path, quoted(value), "one of "+strings.Join(allowed, ", "), "choose one of them")
}

// quoted shows a text that may be hostile, shortened.
func quoted(s string) string {
	if len(s) > 80 {
		return strconv.QuoteToASCII(strings.ToValidUTF8(s[:80], "")) + fmt.Sprintf("… (%d bytes)", len(s))
	}
	return strconv.QuoteToASCII(s)
}
