package template

import (
	"go.yaml.in/yaml/v3"

	"github.com/novacron/novacron/vm"
)

// HideSecrets is the text of a template with vm.Hidden in the place of what cloud-init hands on to the guest. A text without
// any is returned as it is, one that is no template as nothing.
func HideSecrets(text string) string {
	if text == "" {
		return ""
	}
	root, err := vm.ParseTree([]byte(text))
	if err != nil {
		return ""
	}
	hidden := 0
	for _, definition := range valuesOf(root, "definition") {
		for _, cloudInit := range valuesOf(definition, "cloudInit") {
			for i := 0; i+1 < len(cloudInit.Content); i += 2 {
				if vm.IsSecretKey(cloudInit.Content[i].Value) {
					hidden += hide(cloudInit.Content[i+1])
				}
			}
		}
	}
	if hidden == 0 {
		return text
	}
	out, err := yaml.Marshal(root)
	if err != nil {
		return ""
	}
	return string(out)
}

// Hides tells whether the definition has text that stands for a secret.
func (t Template) Hides() bool { return holds(t.definition, vm.Hidden) }

func holds(node *yaml.Node, text string) bool {
	if node == nil {
		return false
	}
	for _, child := range node.Content {
		if holds(child, text) {
			return true
		}
	}
	return node.Kind == yaml.ScalarNode && node.Value == text
}

func valuesOf(node *yaml.Node, key string) (values []*yaml.Node) {
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			values = append(values, node.Content[i+1])
		}
	}
	return values
}

// hide replaces the leaves of a value, all but the keys, and counts them.
func hide(node *yaml.Node) (hidden int) {
	if node.Kind != yaml.ScalarNode {
		for i, child := range node.Content {
			if node.Kind != yaml.MappingNode || i%2 == 1 {
				hidden += hide(child)
			}
		}
		return hidden
	}
	node.Value, node.Style, node.Tag = vm.Hidden, 0, "!!str"
	node.LineComment, node.HeadComment, node.FootComment = "", "", ""
	return 1
}
