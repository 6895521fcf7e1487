package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// Output formats.
const (
	outTable = "table"
	outWide  = "wide"
	outJSON  = "json"
	outYAML  = "yaml"
	outCSV   = "csv"
)

// errNoRows is told before anything is printed.
var errNoRows = usagef("this answer has no rows to print as csv: use -o table, json or yaml")

// list prints items in the chosen format; an empty list says so on stderr where people read it.
func list[T any](a *app, t table[T], items []T) error {
	switch a.output.value {
	case outJSON, outYAML:
		return writeObjects(a, items)
	case outCSV:
		return writeCSV(a, t, items)
	}
	if len(items) == 0 {
		fmt.Fprintf(a.io.Err, "no %s\n", t.plural)
		return nil
	}
	return writeTable(a, t, items)
}

// show prints one item in the chosen format; d is how people read it.
func show[T any](a *app, t table[T], item T, d details) error {
	switch a.output.value {
	case outJSON, outYAML:
		return a.writeObject(item)
	case outCSV:
		return writeCSV(a, t, []T{item})
	}
	return d.write(a.io.Out)
}

func writeCSV[T any](a *app, t table[T], items []T) error {
	w := csv.NewWriter(a.io.Out)
	rows := t.cells(outCSV, items)
	if !a.noHeaders {
		rows = append([][]string{t.header(outCSV)}, rows...)
	}
	return w.WriteAll(rows)
}

func writeTable[T any](a *app, t table[T], items []T) error {
	rows := t.cells(a.output.value, items)
	if !a.noHeaders {
		rows = append([][]string{t.header(a.output.value)}, rows...)
	}
	_, err := io.WriteString(a.io.Out, align(rows, widths(rows)))
	return err
}

// writeObject prints one value as JSON or YAML.
func (a *app) writeObject(v any) error {
	data, err := toJSON(v)
	if err != nil {
		return err
	}
	return a.writeJSON(data)
}

// writeObjects prints a list as one array, so that an empty one is "[]" and never nothing.
func writeObjects[T any](a *app, items []T) error {
	parts := make([]json.RawMessage, 0, len(items))
	for _, item := range items {
		data, err := toJSON(item)
		if err != nil {
			return err
		}
		parts = append(parts, data)
	}
	data, err := json.Marshal(parts)
	if err != nil {
		return err
	}
	return a.writeJSON(data)
}

func (a *app) writeJSON(data []byte) error {
	if a.output.value == outYAML {
		text, err := yaml.JSONToYAML(data)
		if err != nil {
			return err
		}
		_, err = a.io.Out.Write(text)
		return err
	}
	var buf bytes.Buffer
	if err := json.Indent(&buf, data, "", "  "); err != nil {
		return err
	}
	buf.WriteByte('\n')
	_, err := buf.WriteTo(a.io.Out)
	return err
}

// writeEvent prints one of an endless row of values: a line of JSON, or a YAML document.
func (a *app) writeEvent(v any) error {
	data, err := toJSON(v)
	if err != nil {
		return err
	}
	if a.output.value == outYAML {
		fmt.Fprintln(a.io.Out, "---")
		return a.writeJSON(data)
	}
	_, err = fmt.Fprintf(a.io.Out, "%s\n", data)
	return err
}

// toJSON is compact and the same on every run: protojson varies its blanks on purpose.
func toJSON(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return json.Marshal(v)
	}
	loose, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	err = json.Compact(&buf, loose)
	return buf.Bytes(), err
}
