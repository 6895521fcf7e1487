package vm

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// Limits of a definition as text.
const (
	MaxTextBytes = 1 << 20
	maxDepth     = 16
	maxNodes     = 20_000
	maxFaults    = 100
	// maxMarks bounds what may separate values, so that reading a hostile text takes less than a tenth of a second.
	maxMarks = 64 << 10
)

// Errors of text that is no definition at all. What is merely wrong in one comes as Faults.
var (
	// ErrTextTooLarge is text above MaxTextBytes.
	ErrTextTooLarge = errors.New("the definition is too large")
	// ErrSyntax is text that is neither YAML nor JSON, or nested beyond reason.
	ErrSyntax = errors.New("the definition cannot be read")
)

// ParseYAML reads one definition. It is strict: unknown and repeated keys, wrong types, anchors and aliases are Faults
// with their lines. It neither fills in defaults nor validates.
func ParseYAML(text []byte) (Definition, error) {
	root, err := ParseTree(text)
	if err != nil {
		return Definition{}, err
	}
	return DecodeDefinition(root)
}

// ParseTree reads one YAML document of bounded length, without making anything of it.
func ParseTree(text []byte) (*yaml.Node, error) {
	if err := checkLength(text); err != nil {
		return nil, err
	}
	var doc, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: it is empty; start with `name: …`", ErrSyntax)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: there is a second document in it; give one at a time", ErrSyntax)
	}
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		return doc.Content[0], nil
	}
	return &doc, nil
}

// ParseJSON reads one definition, as strictly as ParseYAML.
func ParseJSON(text []byte) (Definition, error) {
	if err := checkLength(text); err != nil {
		return Definition{}, err
	}
	node, err := jsonNode(text)
	if err != nil {
		return Definition{}, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	return DecodeDefinition(node)
}

// Marshal writes a definition as YAML that ParseYAML reads back equal.
func Marshal(def Definition) ([]byte, error) {
	text, err := sigsyaml.Marshal(def)
	if err != nil {
		return nil, fmt.Errorf("write %s as YAML: %w", def.Name, err)
	}
	return text, nil
}

func checkLength(text []byte) error {
	if len(text) > MaxTextBytes {
		return fmt.Errorf("%w: %d bytes, at most %d are read; a definition takes a few hundred", ErrTextTooLarge, len(text), MaxTextBytes)
	}
	marks := 0
	for _, c := range text {
		switch c {
		case '\n', ',', '[', '{', '-', '?':
			marks++
		}
	}
	if marks > maxMarks {
		return fmt.Errorf("%w: it has more than %d values; a definition has a few dozen", ErrTextTooLarge, maxMarks)
	}
	return nil
}
