package vm

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mapping is how people read the YAML of one.
const mapping = "a list of `key: value`"

// nodeDecoder fills a structure from a syntax tree and collects everything that does not fit.
type nodeDecoder struct {
	faults Faults
	nodes  int
}

// DecodeDefinition makes a definition of a syntax tree, as strictly as ParseYAML.
func DecodeDefinition(root *yaml.Node) (Definition, error) {
	var def Definition
	if root.Kind != yaml.MappingNode {
		return def, fmt.Errorf("%w: line %d: a definition is a list of `key: value`; start with `name: …`", ErrSyntax, root.Line)
	}
	if err := DecodeTree(root, "", &def); err != nil {
		return Definition{}, err
	}
	return def, nil
}

// DecodeTree fills a structure of ours from a syntax tree: of numbers, truths, texts, lists, tables of text and such
// structures, by their JSON keys. What does not fit comes as Faults, with paths below the given one.
func DecodeTree(root *yaml.Node, path string, into any) error {
	d := &nodeDecoder{}
	d.value(root, path, reflect.ValueOf(into).Elem(), 0)
	return d.faults.Err()
}

// fault notes what is wrong; text that is wrong all over is not worth more than maxFaults notes.
func (d *nodeDecoder) fault(n *yaml.Node, path, value, limit, wayOut string) {
	if len(d.faults) == maxFaults {
		return
	}
	d.faults = append(d.faults, Fault{Line: n.Line, Path: path, Value: value, Limit: limit, WayOut: wayOut})
}

// value decodes a node into a field. Null means absent.
func (d *nodeDecoder) value(n *yaml.Node, path string, into reflect.Value, depth int) {
	d.nodes++
	switch {
	case d.nodes == maxNodes || depth == maxDepth:
		d.fault(n, path, "nested too deep or too long", fmt.Sprintf("%d levels and %d values", maxDepth, maxNodes), "remove something")
		return
	case d.nodes > maxNodes:
		return
	case n.Anchor != "" || n.Kind == yaml.AliasNode:
		d.fault(n, path, "an anchor or alias", "plain values", "write the value out")
		return
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		d.structure(n, path, into, depth)
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		d.value(n, path, into.Elem(), depth+1)
	case reflect.Slice:
		d.list(n, path, into, depth)
	case reflect.Map:
		d.table(n, path, into)
	case reflect.Int:
		d.number(n, path, into)
	case reflect.Bool:
		d.truth(n, path, into)
	default:
		d.text(n, path, into)
	}
}

func (d *nodeDecoder) structure(n *yaml.Node, path string, into reflect.Value, depth int) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, kindName(n), mapping, "indent its fields below it")
		return
	}
	known := keys(into.Type())
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		field, ok := known[key.Value]
		switch {
		case !ok:
			d.unknown(key, at, known)
		case seen[key.Value]:
			d.fault(key, at, "given twice", "once", "remove one of them")
		default:
			before := len(d.faults)
			d.value(value, at, into.FieldByIndex(field), depth+1)
			d.hint(before, value, key.Value, known)
		}
		seen[key.Value] = true
	}
}

// hint points from a plain value where a group of fields belongs, such as cpu: 2, to the field that was meant.
func (d *nodeDecoder) hint(before int, value *yaml.Node, key string, known map[string][]int) {
	if value.Kind != yaml.ScalarNode || len(d.faults) != before+1 || d.faults[before].Limit != mapping {
		return
	}
	others := slices.DeleteFunc(sortedKeys(known), func(name string) bool { return name == key })
	if near := nearest(key, others); near != "" {
		d.faults[before].WayOut = fmt.Sprintf("did you mean %q?", near)
	}
}

func (d *nodeDecoder) unknown(key *yaml.Node, at string, known map[string][]int) {
	if len(d.faults) == maxFaults {
		return
	}
	names := sortedKeys(known)
	wayOut := "remove it"
	if near := nearest(key.Value, names); near != "" {
		wayOut = fmt.Sprintf("did you mean %q?", near)
	}
	d.fault(key, shortened(at), "an unknown key", "one of "+strings.Join(names, ", "), wayOut)
}

func (d *nodeDecoder) list(n *yaml.Node, path string, into reflect.Value, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, path, kindName(n), "a list", "put each entry on a line of its own, after `- `")
		return
	}
	items := reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(item, fmt.Sprintf("%s[%d]", path, i), items.Index(i), depth+1)
	}
	if len(n.Content) > 0 {
		into.Set(items)
	}
}

// table decodes a map of strings.
func (d *nodeDecoder) table(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, kindName(n), mapping, "indent its entries below it")
		return
	}
	table := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := shortened(path + "[" + key.Value + "]")
		if _, twice := table[key.Value]; twice {
			d.fault(key, at, "given twice", "once", "remove one of them")
		}
		var text string
		if key.Kind != yaml.ScalarNode {
			d.fault(key, path, kindName(key)+" as a key", "text as keys", "write a plain key")
			continue
		}
		d.value(value, at, reflect.ValueOf(&text).Elem(), 0)
		table[key.Value] = text
	}
	if len(table) > 0 {
		into.Set(reflect.ValueOf(table))
	}
}

func (d *nodeDecoder) number(n *yaml.Node, path string, into reflect.Value) {
	var number int
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || n.Decode(&number) != nil {
		d.fault(n, path, kindName(n), "a whole number", "write digits alone, without a unit or quotes")
		return
	}
	into.SetInt(int64(number))
}

func (d *nodeDecoder) truth(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Value != "true" && n.Value != "false" {
		d.fault(n, path, kindName(n), "true or false", "write one of the two, without quotes")
		return
	}
	into.SetBool(n.Value == "true")
}

// text takes every plain value as it was written, so that `osVersion: 22.10` stays 22.10.
func (d *nodeDecoder) text(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!binary" {
		d.fault(n, path, kindName(n), "text", "write a plain value")
		return
	}
	into.SetString(n.Value)
}

// kindName describes a value that is of the wrong kind.
func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return mapping
	case yaml.SequenceNode:
		return "a list"
	default:
		return shown(n.Value)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func shortened(path string) string {
	if len(path) > 120 {
		return strings.ToValidUTF8(path[:120], "") + "…"
	}
	return path
}
