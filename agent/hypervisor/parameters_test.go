package hypervisor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/vm"
)

// parameter is one field of definitions, under all the paths that it is found at.
type parameter struct {
	paths []string
	kind  string
	value string
	text  string
}

// parameters lists the fields of definitions, in the order in which they stand in the code. What they mean is said by
// the comments there, what they are when left out by vm.Normalise.
func parameters(t *testing.T) []parameter {
	t.Helper()
	code, defaults := readSource(t), fieldDefaults(t)
	var list []parameter
	at := map[string]int{}
	walkFields(reflect.TypeFor[vm.Definition](), "", func(path string, owner reflect.Type, f reflect.StructField) {
		key := owner.Name() + "." + f.Name
		if i, known := at[key]; known {
			list[i].paths = append(list[i].paths, path)
			return
		}
		require.NotEmpty(t, code.comments[key], "the field %s has no comment", key)
		at[key] = len(list)
		list = append(list, parameter{paths: []string{path}, kind: kindOf(f.Type), value: defaults[path], text: code.cell(code.comments[key], f.Name)})
	})
	return list
}

// walkFields visits every field that is no mere folder of others.
func walkFields(t reflect.Type, prefix string, visit func(path string, owner reflect.Type, f reflect.StructField)) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			walkFields(f.Type, prefix, visit)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		path, inner := prefix+name, f.Type
		if inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct {
			path, inner = path+"[]", inner.Elem()
		}
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			walkFields(inner, path+".", visit)
			continue
		}
		visit(path, t, f)
	}
}

func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Slice:
		return "list of " + kindOf(t.Elem()) + "s"
	case reflect.Map:
		return "map of texts"
	case reflect.Bool:
		return "true, false"
	case reflect.Int:
		return "number"
	default:
		return "text"
	}
}

// source is what of vm's code goes into the table.
type source struct {
	// comments are by «Structure.Field».
	comments map[string]string
	// words are the names that comments use: of fields, for which the table has their keys, and of limits.
	words map[string]string
}

func readSource(t *testing.T) source {
	t.Helper()
	s := source{comments: map[string]string{}, words: map[string]string{}}
	files, err := filepath.Glob("../../vm/definition*.go")
	require.NoError(t, err)
	for _, file := range append(files, "../../vm/check.go") {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		require.NoError(t, err)
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				return false
			case *ast.TypeSpec:
				s.addStructure(n)
			case *ast.ValueSpec:
				s.addLimit(t, n)
			}
			return true
		})
	}
	return s
}

func (s source) addStructure(spec *ast.TypeSpec) {
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range structure.Fields.List {
		for _, name := range f.Names {
			s.comments[spec.Name.Name+"."+name.Name] = f.Doc.Text()
			if f.Tag != nil && !abbreviation.MatchString(name.Name) {
				key, _, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
				s.words[name.Name] = "`" + key + "`"
			}
		}
	}
}

// abbreviation is a name that is a word of every page too, such as CPUs.
var abbreviation = regexp.MustCompile(`^[A-Z]{2}`)

// addLimit works out a constant.
func (s source) addLimit(t *testing.T, spec *ast.ValueSpec) {
	t.Helper()
	for i, value := range spec.Values {
		if worth, err := types.Eval(token.NewFileSet(), nil, token.NoPos, types.ExprString(value)); err == nil && worth.Value != nil {
			s.words[spec.Names[i].Name] = worth.Value.ExactString()
		}
	}
}

var goName = regexp.MustCompile(`\b[A-Za-z]+[A-Z][A-Za-z]*\b|\b[A-Z][a-z]+\b`)

// cell makes a comment fit a table: one line, nothing before what is said, and no names of Go.
func (s source) cell(comment, name string) string {
	text := strings.TrimPrefix(strings.Join(strings.Fields(comment), " "), name+" ")
	for _, verb := range []string{"is ", "are "} {
		text = strings.TrimPrefix(text, verb)
	}
	text = goName.ReplaceAllStringFunc(text, func(word string) string { return cmp.Or(s.words[word], word) })
	return strings.TrimSuffix(strings.ReplaceAll(text, "|", `\|`), ".")
}

// fieldDefaults tells what Normalise makes of the fields of a Linux machine that says as little as possible. What
// differs with the machine's name is made of it, and is no default.
func fieldDefaults(t *testing.T) map[string]string {
	t.Helper()
	first, second := defaultsOf(t, "a"), defaultsOf(t, "b")
	for path := range first {
		if first[path] != second[path] {
			delete(first, path)
		}
	}
	return first
}

func defaultsOf(t *testing.T, name string) map[string]string {
	t.Helper()
	def := vm.Definition{Name: name, CPUs: 1, MemoryMB: 64, DiskGB: 1, Volumes: []Volume{{Name: "x", SizeGB: 1}},
		NetworkInterfaces: []NetworkInterface{{}}, CloudInit: &vm.CloudInit{}, Memory: vm.Memory{MaxMB: 64}}
	given := flat(t, def)
	filled := flat(t, vm.Normalise(def, vm.Defaults{}))
	for path := range given {
		delete(filled, path)
	}
	return filled
}

// flat writes a definition as paths and values.
func flat(t *testing.T, def vm.Definition) map[string]string {
	t.Helper()
	data, err := json.Marshal(def)
	require.NoError(t, err)
	var tree any
	require.NoError(t, json.Unmarshal(data, &tree))
	paths := map[string]string{}
	flatten(tree, "", paths)
	return paths
}

func flatten(value any, path string, paths map[string]string) {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			flatten(inner, strings.TrimPrefix(path+"."+key, "."), paths)
		}
	case []any:
		for _, inner := range value {
			flatten(inner, path+"[]", paths)
		}
	default:
		paths[path] = fmt.Sprint(value)
	}
}

// parameterTable is the page's table of parameters.
func parameterTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| parameter | takes | left out | meaning |\n|---|---|---|---|\n")
	for _, p := range parameters(t) {
		value := ""
		if p.value != "" {
			value = "`" + p.value + "`"
		}
		paths := slices.Clone(p.paths)
		for i := range paths {
			paths[i] = "`" + paths[i] + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", strings.Join(paths, " "), p.kind, value, p.text)
	}
	return b.String()
}
