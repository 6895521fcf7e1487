// Package template makes machine definitions from named presets with typed parameters.
package template

import (
	"fmt"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/novacron/novacron/vm"
)

// Template is a preset: a definition in which ${name} stands for parameters.
type Template struct {
	// Name is what people choose it by, Description what it is good for.
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Parameters  []Parameter `json:"parameters"`
	// definition is the tree that values are put into. It is never changed.
	definition *yaml.Node
}

// Parameter is something that a template leaves open.
type Parameter struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// Type is "string", "int", "bool" or "size"; empty means string.
	Type string `json:"type"`
	// Default is used where no value is given; without one a value has to be given.
	Default *string `json:"default"`
	// Enum are the values that a string may have; empty means any.
	Enum []string `json:"enum"`
	// Pattern is a regular expression that a whole string has to match.
	Pattern string `json:"pattern"`
	// Min and Max bound an int or a size.
	Min string `json:"min"`
	Max string `json:"max"`
	// Unit is that of the number which a size becomes: "MiB" or "GiB"; empty means MiB.
	Unit string `json:"unit"`
}

// Limits of a template.
const (
	maxParameters  = 32
	maxValueBytes  = 16 << 10
	maxPattern     = 200
	maxDescription = 1000
	maxDepth       = 16
)

var nameForm = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

const nameLimit = "1 to 63 of a-z 0-9 -, a letter first, no - at the end"

// Parse reads a template from YAML, as strictly as a definition: unknown keys, repeated ones and aliases are vm.Faults
// with their lines, and so are parameters that contradict themselves or that nobody declared.
func Parse(text []byte) (Template, error) {
	root, err := vm.ParseTree(text)
	if err != nil {
		return Template{}, err
	}
	if root.Kind != yaml.MappingNode {
		return Template{}, fmt.Errorf("%w: line %d: a template is a list of `key: value`; start with `name: …`", vm.ErrSyntax, root.Line)
	}
	var t Template
	head := *root
	head.Content, t.definition = without(root.Content, "definition")
	if err := vm.DecodeTree(&head, "", &t); err != nil {
		return Template{}, err
	}
	faults := t.check()
	if t.definition == nil || t.definition.Kind != yaml.MappingNode {
		faults = append(faults, vm.Fault{Path: "definition", Value: "missing", Limit: "a machine definition", WayOut: "give one, with ${name} where a parameter belongs"})
	} else {
		faults = append(faults, t.references(t.definition, "definition", 0)...)
	}
	if err := faults.Err(); err != nil {
		return Template{}, err
	}
	return t, nil
}

// without takes one key out of a mapping. A second one of the same name stays, to be refused as unknown.
func without(content []*yaml.Node, key string) (rest []*yaml.Node, value *yaml.Node) {
	for i := 0; i+1 < len(content); i += 2 {
		if content[i].Value == key && value == nil {
			value = content[i+1]
			continue
		}
		rest = append(rest, content[i], content[i+1])
	}
	return rest, value
}

func (t Template) check() vm.Faults {
	var faults vm.Faults
	add := func(path, value, limit, wayOut string) {
		faults = append(faults, vm.Fault{Path: path, Value: fmt.Sprintf("%.80q", value), Limit: limit, WayOut: wayOut})
	}
	if !nameForm.MatchString(t.Name) {
		add("name", t.Name, nameLimit, "choose another name")
	}
	if len(t.Description) > maxDescription {
		add("description", t.Description, fmt.Sprintf("at most %d bytes", maxDescription), "shorten it")
	}
	if len(t.Parameters) > maxParameters {
		add("parameters", fmt.Sprint(len(t.Parameters)), fmt.Sprintf("at most %d", maxParameters), "remove some")
		return faults
	}
	var seen []string
	for i, p := range t.Parameters {
		path := fmt.Sprintf("parameters[%d]", i)
		if !nameForm.MatchString(p.Name) {
			add(path+".name", p.Name, nameLimit, "choose another name")
		}
		if slices.Contains(seen, p.Name) {
			add(path+".name", p.Name, "each parameter once", "choose another name")
		}
		seen = append(seen, p.Name)
		faults = append(faults, p.check(path)...)
	}
	return faults
}

// Check renders a template with its defaults, or with the least that a parameter without one accepts, and validates the
// outcome like any definition. A definition that leaves its name open gets one for this.
func (t Template) Check() error {
	values := map[string]string{}
	for _, p := range t.Parameters {
		if p.Default == nil {
			values[p.Name] = p.example()
		}
	}
	def, err := t.Render(values)
	if err != nil {
		return err
	}
	if def.Name == "" {
		def.Name = t.Name
	}
	return vm.Validate(def)
}
