package template

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/novacron/novacron/vm"
)

// reference finds ${name}, and $${ which stands for ${ itself.
var reference = regexp.MustCompile(`\$\$\{|\$\{[^}]*\}?`)

// Render puts values into a template and reads the outcome as a definition. Values become leaves of the tree, never
// text of YAML: none can add a field. What is missing, unknown or not accepted comes as vm.Faults. The definition is
// neither normalised nor validated yet.
func (t Template) Render(values map[string]string) (vm.Definition, error) {
	settled, err := t.settle(values)
	if err != nil {
		return vm.Definition{}, err
	}
	return vm.DecodeDefinition(t.filled(t.definition, settled))
}

// settle completes values by defaults and checks them.
func (t Template) settle(values map[string]string) (map[string]string, error) {
	var faults vm.Faults
	settled := map[string]string{}
	for _, p := range t.Parameters {
		value, given := values[p.Name]
		if !given && p.Default == nil {
			faults = append(faults, vm.Fault{Path: p.Name, Value: "missing", Limit: "a value of type " + p.kind(), WayOut: "give it, such as --set " + p.Name + "=" + p.example()})
			continue
		}
		if !given {
			value = *p.Default
		}
		if fault := p.accepts(value); fault != nil {
			faults = append(faults, *fault)
		}
		settled[p.Name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, known := t.parameter(name); !known {
			faults = append(faults, vm.Fault{Path: name, Value: "unknown", Limit: "a parameter of " + t.Name + ": " + t.names(), WayOut: "leave it out"})
		}
	}
	return settled, faults.Err()
}

func (t Template) names() string {
	var names []string
	for _, p := range t.Parameters {
		names = append(names, p.Name)
	}
	if len(names) == 0 {
		return "it has none"
	}
	return strings.Join(names, ", ")
}

func (t Template) parameter(name string) (Parameter, bool) {
	for _, p := range t.Parameters {
		if p.Name == name {
			return p, true
		}
	}
	return Parameter{}, false
}

// filled copies a tree with the values in place. Keys are never replaced.
func (t Template) filled(n *yaml.Node, values map[string]string) *yaml.Node {
	if n.Kind == yaml.ScalarNode {
		return t.leaf(n, values)
	}
	copied := *n
	copied.Content = make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			copied.Content[i] = c
			continue
		}
		copied.Content[i] = t.filled(c, values)
	}
	return &copied
}

// leaf is a value of its parameter's type where it is nothing but that, else text with values in it.
func (t Template) leaf(n *yaml.Node, values map[string]string) *yaml.Node {
	found := reference.FindAllString(n.Value, -1)
	if len(found) == 0 {
		return n
	}
	if found[0] == n.Value && n.Value != "$${" {
		name := nameOf(n.Value)
		p, _ := t.parameter(name)
		return p.node(values[name], n.Line)
	}
	text := reference.ReplaceAllStringFunc(n.Value, func(ref string) string {
		if ref == "$${" {
			return "${"
		}
		return values[nameOf(ref)]
	})
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: n.Line}
}

func nameOf(ref string) string { return strings.TrimSuffix(strings.TrimPrefix(ref, "${"), "}") }

// references finds names that are not declared, and trees that are too deep or use aliases.
func (t Template) references(n *yaml.Node, path string, depth int) vm.Faults {
	if depth > maxDepth || n.Kind == yaml.AliasNode || n.Anchor != "" {
		return vm.Faults{{Line: n.Line, Path: path, Value: "an alias, or nested too deep", Limit: fmt.Sprintf("plain values, %d levels", maxDepth), WayOut: "write the value out"}}
	}
	var faults vm.Faults
	if n.Kind == yaml.ScalarNode {
		for _, ref := range reference.FindAllString(n.Value, -1) {
			if _, known := t.parameter(nameOf(ref)); ref != "$${" && !known {
				faults = append(faults, vm.Fault{Line: n.Line, Path: path, Value: fmt.Sprintf("%.80q", ref), Limit: "${name} with a parameter of the template: " + t.names(),
					WayOut: "declare it in parameters, or write $${ for ${ itself"})
			}
		}
		return faults
	}
	for i, c := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			faults = append(faults, t.references(c, path, depth+1)...)
		}
	}
	return faults
}
