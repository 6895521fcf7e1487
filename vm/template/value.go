package template

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/novacron/novacron/vm"
)

// The types of parameters.
const (
	typeString = "string"
	typeInt    = "int"
	typeBool   = "bool"
	typeSize   = "size"
)

func (p Parameter) kind() string {
	if p.Type == "" {
		return typeString
	}
	return p.Type
}

// check finds what a parameter's declaration contradicts.
func (p Parameter) check(path string) vm.Faults {
	c := &declaration{path: path}
	if !slices.Contains([]string{typeString, typeInt, typeBool, typeSize}, p.kind()) {
		c.add("type", p.Type, "one of string, int, bool, size", "choose one of them")
		return c.faults
	}
	numeric := p.kind() == typeInt || p.kind() == typeSize
	for _, limit := range []struct{ key, value string }{{"min", p.Min}, {"max", p.Max}} {
		if limit.value == "" {
			continue
		}
		if _, err := p.number(limit.value); !numeric || err != nil {
			c.add(limit.key, limit.value, "a value of the parameter's own type, int or size", "correct it, or leave it out")
		}
	}
	if p.Pattern != "" {
		if _, err := p.pattern(); err != nil || p.kind() != typeString || len(p.Pattern) > maxPattern {
			c.add("pattern", p.Pattern, fmt.Sprintf("a regular expression of at most %d bytes, for a string", maxPattern), "correct it, or leave it out")
		}
	}
	if len(p.Enum) > 0 && p.kind() != typeString {
		c.add("enum", strings.Join(p.Enum, ", "), "empty unless the type is string", "use min and max, or leave it out")
	}
	if p.Unit != "" && (p.kind() != typeSize || unitBytes(p.Unit) == 0) {
		c.add("unit", p.Unit, "MiB or GiB, for a size", "leave it out for MiB")
	}
	if p.Default != nil && len(c.faults) == 0 {
		if fault := p.accepts(*p.Default); fault != nil {
			c.add("default", *p.Default, fault.Limit, fault.WayOut)
		}
	}
	return c.faults
}

type declaration struct {
	path   string
	faults vm.Faults
}

func (c *declaration) add(key, value, limit, wayOut string) {
	c.faults = append(c.faults, vm.Fault{Path: c.path + "." + key, Value: fmt.Sprintf("%.80q", value), Limit: limit, WayOut: wayOut})
}

func (p Parameter) pattern() (*regexp.Regexp, error) {
	return regexp.Compile(`^(?:` + p.Pattern + `)$`)
}

// accepts tells what is wrong with a value; nil where nothing is.
func (p Parameter) accepts(value string) *vm.Fault {
	refuse := func(limit, wayOut string) *vm.Fault {
		return &vm.Fault{Path: p.Name, Value: fmt.Sprintf("%.80q", value), Limit: limit, WayOut: wayOut}
	}
	switch p.kind() {
	case typeBool:
		if value != "true" && value != "false" {
			return refuse("true or false", "give one of the two")
		}
	case typeString:
		return p.acceptsText(value, refuse)
	default:
		return p.acceptsNumber(value, refuse)
	}
	return nil
}

func (p Parameter) acceptsText(value string, refuse func(string, string) *vm.Fault) *vm.Fault {
	switch {
	case len(value) > maxValueBytes:
		return refuse(fmt.Sprintf("at most %d bytes", maxValueBytes), "shorten it")
	case len(p.Enum) > 0 && !slices.Contains(p.Enum, value):
		return refuse("one of "+strings.Join(p.Enum, ", "), "choose one of them")
	}
	if p.Pattern != "" {
		if form, err := p.pattern(); err != nil || !form.MatchString(value) {
			return refuse("text of the form "+p.Pattern, "see the template's description")
		}
	}
	return nil
}

func (p Parameter) acceptsNumber(value string, refuse func(string, string) *vm.Fault) *vm.Fault {
	n, err := p.number(value)
	if err != nil {
		if p.kind() == typeInt {
			return refuse("a whole number", "write digits alone")
		}
		return refuse("a size in whole "+p.unit(), "write it like 512MiB or 2GiB")
	}
	if low, err := p.number(p.Min); p.Min != "" && err == nil && n < low {
		return refuse("at least "+p.Min, "give more")
	}
	if high, err := p.number(p.Max); p.Max != "" && err == nil && n > high {
		return refuse("at most "+p.Max, "give less")
	}
	return nil
}

func (p Parameter) unit() string {
	if p.Unit == "" {
		return "MiB"
	}
	return p.Unit
}

// number reads an int, or a size in the parameter's unit.
func (p Parameter) number(text string) (int, error) {
	if p.kind() == typeInt {
		return strconv.Atoi(text)
	}
	digits := strings.TrimRight(text, "KMGTiB")
	n, err := strconv.ParseUint(digits, 10, 32)
	bytes := unitBytes(text[len(digits):])
	if err != nil || bytes == 0 || n > math.MaxInt64/bytes || n*bytes%unitBytes(p.unit()) != 0 {
		return 0, fmt.Errorf("%.40q is no size in whole %s", text, p.unit())
	}
	return int(n * bytes / unitBytes(p.unit())), nil
}

// unitBytes is 0 for what is no unit.
func unitBytes(unit string) uint64 {
	return map[string]uint64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}[unit]
}

// node is an accepted value as a leaf of a definition's tree.
func (p Parameter) node(value string, line int) *yaml.Node {
	leaf := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Line: line}
	switch p.kind() {
	case typeBool:
		leaf.Tag = "!!bool"
	case typeInt, typeSize:
		n, _ := p.number(value)
		leaf.Tag, leaf.Value = "!!int", strconv.Itoa(n)
	}
	return leaf
}

// example is a value that the parameter accepts, as far as its limits tell one.
func (p Parameter) example() string {
	switch {
	case len(p.Enum) > 0:
		return p.Enum[0]
	case p.Min != "":
		return p.Min
	case p.kind() == typeBool:
		return "false"
	case p.kind() == typeInt:
		return "1"
	case p.kind() == typeSize:
		return "1GiB"
	default:
		return "example"
	}
}
