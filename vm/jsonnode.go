package vm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// jsonReader turns JSON into the syntax tree that YAML gives, with lines, so that both are decoded alike.
type jsonReader struct {
	text    []byte
	decoder *json.Decoder
	// offset and line count the lines read so far.
	offset int64
	line   int
}

func jsonNode(text []byte) (*yaml.Node, error) {
	r := &jsonReader{text: text, decoder: json.NewDecoder(bytes.NewReader(text)), line: 1}
	r.decoder.UseNumber()
	node, err := r.next(0)
	if errors.Is(err, io.EOF) {
		return nil, errors.New(`it is empty; start with {"name": …}`)
	}
	if err != nil {
		return nil, err
	}
	if _, err := r.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the definition; give one at a time")
	}
	return node, nil
}

// next reads one value with all that it contains.
func (r *jsonReader) next(depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: it is nested deeper than %d levels", r.line, maxDepth)
	}
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Line: r.at()}
	switch v := token.(type) {
	case json.Delim:
		node.Kind = yaml.SequenceNode
		if v == '{' {
			node.Kind = yaml.MappingNode
		}
		return node, r.contents(node, depth)
	case string:
		node.Tag, node.Value = "!!str", v
	case json.Number:
		node.Value = v.String()
		node.Tag = node.ShortTag()
	case bool:
		node.Tag, node.Value = "!!bool", fmt.Sprint(v)
	default:
		node.Tag = "!!null"
	}
	return node, nil
}

func (r *jsonReader) contents(node *yaml.Node, depth int) error {
	for r.decoder.More() {
		child, err := r.next(depth + 1)
		if err != nil {
			return err
		}
		node.Content = append(node.Content, child)
	}
	_, err := r.decoder.Token()
	return err
}

// at is the line that the decoder has come to.
func (r *jsonReader) at() int {
	to := r.decoder.InputOffset()
	r.line += bytes.Count(r.text[r.offset:to], []byte("\n"))
	r.offset = to
	return r.line
}
