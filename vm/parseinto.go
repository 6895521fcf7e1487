package vm

import (
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// ParseYAMLInto reads one document into the struct that into points to, as strictly as ParseYAML: its fields are texts,
// whole numbers, lists and structs, by the keys of their json tags.
func ParseYAMLInto(text []byte, into any) error {
	root, err := ParseTree(text)
	if err != nil {
		return err
	}
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("%w: line %d: it is to be a list of `key: value`", ErrSyntax, root.Line)
	}
	d := &nodeDecoder{}
	d.value(root, "", reflect.ValueOf(into).Elem(), 0)
	return d.faults.Err()
}
