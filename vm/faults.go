package vm

import (
	"strconv"
	"strings"
)

// Fault is one thing that is wrong with a definition.
type Fault struct {
	// Line is where in the text the field stands, from 1; 0 where there was no text.
	Line int `json:"line,omitempty"`
	// Path is the field, such as volumes[1].sizeGB.
	Path string `json:"path"`
	// Value is what was given.
	Value string `json:"value"`
	// Limit is what is allowed.
	Limit string `json:"limit"`
	// WayOut says what to do about it.
	WayOut string `json:"wayOut"`
}

func (f Fault) Error() string {
	where := ""
	if f.Line > 0 {
		where = "line " + strconv.Itoa(f.Line) + ": "
	}
	return where + f.Path + " is " + f.Value + "; allowed is " + f.Limit + "; " + f.WayOut
}

// Faults is everything that is wrong with a definition, as one error.
type Faults []Fault

func (f Faults) Error() string { return strings.Join(f.Lines(), "\n") }

// Lines are the faults in words, one each.
func (f Faults) Lines() []string {
	var lines []string
	for _, one := range f {
		lines = append(lines, one.Error())
	}
	return lines
}

// Err is nil where there are no faults.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}
