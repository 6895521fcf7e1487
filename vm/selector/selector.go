// Package selector chooses virtual machines by their labels or annotations: conditions on keys and values, all of which must hold.
package selector

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits of a selector: what a person writes is far below them.
const (
	MaxBytes      = 4096
	MaxConditions = 64
)

// Selector is a list of conditions, all of which must hold. The empty one chooses everything.
type Selector struct{ conditions []condition }

type operator string

// The conditions. Those that deny hold without the key, too.
const (
	exists   operator = "exists"
	absent   operator = "absent"
	isOneOf  operator = "in"
	notOneOf operator = "notin"
	contains operator = "~"
)

type condition struct {
	key    string
	op     operator
	values []string
}

// Matches tells whether labels, or annotations, meet every condition.
func (s Selector) Matches(have map[string]string) bool {
	for _, c := range s.conditions {
		if !c.holds(have) {
			return false
		}
	}
	return true
}

func (c condition) holds(have map[string]string) bool {
	value, there := have[c.key]
	switch c.op {
	case absent:
		return !there
	case isOneOf:
		return there && slices.Contains(c.values, value)
	case notOneOf:
		return !there || !slices.Contains(c.values, value)
	case contains:
		return there && strings.Contains(value, c.values[0])
	case exists:
	}
	return there
}

// Parse reads conditions with commas between:
//
//	key              the key is there
//	!key             it is not
//	key=value        it has that value (also ==)
//	key!=value       it has another, or is not there
//	key~text         its value holds that text
//	key in (a,b)     it has one of these
//	key notin (a,b)  it has none of these, or is not there
//
// A value goes to the next comma, or stands in double quotes, within which \" and \\ are a quote and a backslash.
func Parse(text string) (Selector, error) {
	if len(text) > MaxBytes {
		return Selector{}, fmt.Errorf("selector: %d bytes, at most %d: leave some conditions out", len(text), MaxBytes)
	}
	p := &parser{text: text}
	var s Selector
	for p.skip(); p.at < len(text); p.skip() {
		c, err := p.condition()
		if err != nil {
			return Selector{}, fmt.Errorf("selector %.200q, at %d: %w; conditions are key, !key, key=value, key!=value, key~text, key in (a,b) and key notin (a,b), with commas between",
				text, p.at, err)
		}
		if s.conditions = append(s.conditions, c); len(s.conditions) > MaxConditions {
			return Selector{}, fmt.Errorf("selector: more than %d conditions: leave some out", MaxConditions)
		}
	}
	return s, nil
}

// And joins selectors to one.
func And(all ...Selector) Selector {
	var s Selector
	for _, one := range all {
		s.conditions = append(s.conditions, one.conditions...)
	}
	return s
}

// Equal chooses what has all these values.
func Equal(want map[string]string) Selector {
	var s Selector
	for key, value := range want {
		s.conditions = append(s.conditions, condition{key, isOneOf, []string{value}})
	}
	return s
}

type parser struct {
	text string
	at   int
}

func (p *parser) skip() {
	for p.at < len(p.text) && strings.ContainsRune(" \t\n", rune(p.text[p.at])) {
		p.at++
	}
}

// take goes behind a token that comes next, if it does.
func (p *parser) take(token string) bool {
	p.skip()
	if !strings.HasPrefix(p.text[p.at:], token) {
		return false
	}
	p.at += len(token)
	return true
}

// word goes behind characters that are not among the given ones.
func (p *parser) word(until string) string {
	rest := p.text[p.at:]
	if end := strings.IndexAny(rest, until); end >= 0 {
		rest = rest[:end]
	}
	p.at += len(rest)
	return strings.TrimSpace(rest)
}

func (p *parser) condition() (condition, error) {
	denied := p.take("!")
	p.skip()
	key := p.word(" \t\n=!~,()\"")
	if key == "" {
		return condition{}, fmt.Errorf("a key is missing")
	}
	c := condition{key: key, op: exists}
	if denied {
		c.op = absent
		return c, p.end()
	}
	if err := p.rest(&c); err != nil {
		return condition{}, err
	}
	return c, p.end()
}

// rest reads what is asked of a key.
func (p *parser) rest(c *condition) error {
	for _, o := range []struct {
		token string
		op    operator
	}{{"==", isOneOf}, {"=", isOneOf}, {"!=", notOneOf}, {"~", contains}} {
		if p.take(o.token) {
			value, err := p.value(",")
			c.op, c.values = o.op, []string{value}
			return err
		}
	}
	for _, op := range []operator{notOneOf, isOneOf} {
		before := p.at
		if p.take(string(op)) && p.take("(") {
			c.op = op
			return p.values(c)
		}
		p.at = before
	}
	return nil
}

func (p *parser) values(c *condition) error {
	for {
		value, err := p.value(",)")
		if err != nil {
			return err
		}
		c.values = append(c.values, value)
		switch {
		case p.take(")"):
			return nil
		case !p.take(","):
			return fmt.Errorf("the list of values has no end")
		}
	}
}

// value reads quoted text, or all up to one of the given characters.
func (p *parser) value(until string) (string, error) {
	p.skip()
	if p.at >= len(p.text) || p.text[p.at] != '"' {
		return p.word(until), nil
	}
	quoted, err := strconv.QuotedPrefix(p.text[p.at:])
	if err != nil {
		return "", fmt.Errorf("a quote has no end")
	}
	p.at += len(quoted)
	return strconv.Unquote(quoted)
}

// end goes behind the comma after a condition.
func (p *parser) end() error {
	if p.take(",") || p.at == len(p.text) {
		return nil
	}
	return fmt.Errorf("a comma is missing")
}
