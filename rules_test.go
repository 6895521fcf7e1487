package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/novacron/novacron"

// maxLines bounds a file that people write: more is two stories in one place.
const maxLines = 500

// rooms say what of ours the packages below a folder may import; a deeper folder goes before its parents, and its own
// packages are always allowed. Folders that are not here are free.
var rooms = map[string][]string{
	"vm":         {"proto"},
	"metric":     {"vm", "proto"},
	"proto":      {},
	"cluster":    {"proto", "itest/fault"},
	"agent":      {"cluster", "tsdb", "ml/serve", "itest/fault", "proto", "vm", "metric"},
	"controller": {"cluster", "tsdb/query", "tsdb/federate", "tsdb/httpapi", "analytics", "ml", "itest", "proto", "vm", "metric"},
	// The client works on the folder of a shard without a cluster: it takes all of tsdb, which no controller does.
	"controller/cli":     {"controller", "cluster", "tsdb", "itest", "proto", "vm", "metric"},
	"controller/state":   {"proto"},
	"controller/sched":   {},
	"controller/placing": {"controller/state", "controller/sched", "proto", "vm"},
	"controller/rpc":     {"controller/state", "controller/sched", "controller/placing", "cluster", "tsdb/query", "tsdb/display", "tsdb/federate", "tsdb/httpapi", "analytics", "ml", "proto", "vm", "metric"},
	"controller/loop":    {"controller/state", "controller/sched", "controller/placing", "cluster", "tsdb/query", "tsdb/federate", "analytics", "ml", "proto", "vm", "metric"},
	"tsdb":               {"proto"},
	"analytics":          {"tsdb", "ml", "proto"},
	"ml":                 {"tsdb", "proto"},
}

// testRooms are what tests may import besides: the lab they run in and what takes both sides of a connection.
var testRooms = map[string][]string{
	"agent":          {"itest/lab", "itest/env"},
	"controller/rpc": {"controller", "itest/env"},
	"controller":     {"itest/env"},
	"tsdb/peer":      {"itest/lab"},
}

// doors are the heavy dependencies and the only folders that may import them.
var doors = map[string][]string{
	"github.com/hashicorp/raft":        {"cluster/consensus", "itest/bench/raft"},
	"github.com/hashicorp/raft-boltdb": {"cluster/consensus", "itest/bench/raft"},
	"go.etcd.io/bbolt":                 {"cluster/consensus", "itest/bench/raft"},
	"github.com/hashicorp/memberlist":  {"cluster/gossip", "cluster/memnet"},
	"libvirt.org/go/libvirt":           {"agent/hypervisor/libvirt"},
	"libvirt.org/go/libvirtxml":        {"agent/hypervisor"},
	"github.com/nakabonne/tstorage":    {"tsdb/engine"},
	"github.com/prometheus/prometheus": {"tsdb/query", "tsdb/promjson", "tsdb/display", "tsdb/federate", "tsdb/httpapi", "tsdb/peer", "agent/collect/custom/peer"},
	// Types without machinery: labels, matchers, histograms, iterators.
	"github.com/prometheus/prometheus/model":         {"tsdb", "agent/collect"},
	"github.com/prometheus/prometheus/tsdb/chunkenc": {"tsdb"},
	// Readers of a block of Prometheus, to import it; they bring no more modules than the types do.
	"github.com/prometheus/prometheus/tsdb/index":      {"tsdb/transfer", "tsdb/peer"},
	"github.com/prometheus/prometheus/tsdb/chunks":     {"tsdb/transfer", "tsdb/peer"},
	"github.com/prometheus/prometheus/tsdb/tombstones": {"tsdb/transfer", "tsdb/peer"},
	"github.com/aws/aws-sdk-go-v2":                     {"agent/collect/cloudwatch"},
	"github.com/Azure/azure-sdk-for-go":                {"agent/collect/azuremonitor"},
	"cloud.google.com/go":                              {"agent/collect/gcpmonitoring"},
	"github.com/spf13/cobra":                           {".", "controller/cli"},
	"github.com/anishathalye/porcupine":                {"cluster/consensus", "itest"},
	"github.com/parquet-go/parquet-go":                 {"tsdb/display", "tsdb/peer"},
	"github.com/rogpeppe/go-internal":                  {"controller/cli"},
	"github.com/hashicorp/go-msgpack":                  {"cluster"},
	"github.com/nats-io":                               {},
	"google.golang.org/grpc":                           {"agent/collect/gcpmonitoring"},
	"github.com/libvirt/libvirt-go-module":             {},
}

// bothSides may import agent and controller at once; nothing else may.
var bothSides = []string{".", "itest/env", "itest/sim"}

// mayExit are the folders outside of package main that may end the process, with the reason.
var mayExit = map[string]string{
	"itest/fault": "an injected crash is a death without a farewell",
}

// noClock are the folders whose code must give the same answer to the same question at any time.
var noClock = []string{"controller/state", "controller/sched"}

// badNames say nothing about what a package holds.
var badNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "shared", "types"}

// source is one Go file that people wrote.
type source struct {
	path, dir string
	test      bool
	lines     int
	file      *ast.File
	set       *token.FileSet
}

// complaint is a broken rule.
type complaint struct {
	path string
	line int
	rule string
}

func (c complaint) String() string { return fmt.Sprintf("%s:%d: %s", c.path, c.line, c.rule) }

func (s source) complain(at token.Pos, format string, args ...any) complaint {
	line := 1
	if at.IsValid() {
		line = s.set.Position(at).Line
	}
	return complaint{s.path, line, fmt.Sprintf(format, args...)}
}

// read parses all Go files below a folder but the generated ones.
func read(tree fs.FS) ([]source, error) {
	var sources []source
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return skipped(name)
		case path.Ext(name) != ".go":
			return nil
		}
		s, err := parse(tree, name)
		if err == nil && !ast.IsGenerated(s.file) {
			sources = append(sources, s)
		}
		return err
	})
	return sources, err
}

func skipped(dir string) error {
	base := path.Base(dir)
	if base == "testdata" || base == "bin" || base == "dist" || base == "node_modules" || (base != "." && base[0] == '.') {
		return fs.SkipDir
	}
	return nil
}

func parse(tree fs.FS, name string) (source, error) {
	text, err := fs.ReadFile(tree, name)
	if err != nil {
		return source{}, err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	return source{
		path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
		lines: bytes.Count(text, []byte("\n")), file: file, set: set,
	}, err
}

// below tells whether a folder or import is one of the parents or lies in it.
func below(name string, parents ...string) bool {
	return slices.ContainsFunc(parents, func(parent string) bool {
		return name == parent || parent != "." && strings.HasPrefix(name, parent+"/")
	})
}

// nearest is the longest key of a map that the folder is or lies in.
func nearest[V any](m map[string]V, name string) (string, bool) {
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(m))) { // a longer path sorts after its parents
		if below(name, key) {
			return key, true
		}
	}
	return "", false
}

// ours is the folder that an import means; false for imports of others.
func ours(spec *ast.ImportSpec) (string, bool) {
	name := imported(spec)
	if name == module {
		return ".", true
	}
	return strings.CutPrefix(name, module+"/")
}

func imported(spec *ast.ImportSpec) string {
	name, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
	return name
}

// checkRooms holds who may import whom.
func checkRooms(s source) (found []complaint) {
	room, closed := nearest(rooms, s.dir)
	if !closed {
		return nil
	}
	allowed := append([]string{room}, rooms[room]...)
	if s.test {
		for key, more := range testRooms {
			if below(s.dir, key) {
				allowed = append(allowed, more...)
			}
		}
	}
	for _, spec := range s.file.Imports {
		if to, is := ours(spec); is && !below(to, allowed...) {
			found = append(found, s.complain(spec.Pos(), "%s must not import %s: of ours, %s imports only %s", s.dir, to, room, strings.Join(allowed, ", ")))
		}
	}
	return found
}

// checkDoors holds the one door of each heavy dependency.
func checkDoors(s source) (found []complaint) {
	for _, spec := range s.file.Imports {
		name := imported(spec)
		if door, heavy := nearest(doors, name); heavy && !below(s.dir, doors[door]...) {
			found = append(found, s.complain(spec.Pos(), "%s must not import %s: only %q do", s.dir, name, doors[door]))
		}
	}
	return found
}

// checkExit holds that only main ends the process, so that everything is closed on the way out.
func checkExit(s source) []complaint {
	if _, may := nearest(mayExit, s.dir); may || s.file.Name.Name == "main" {
		return nil
	}
	return s.uses("os", "Exit", "os.Exit outside of main: return an error")
}

// checkSleep holds that tests wait for what they need and not for a while. The clock of synctest costs no time.
func checkSleep(s source) []complaint {
	if !s.test {
		return nil
	}
	return s.uses("time", "Sleep", "time.Sleep in a test: wait for what you need, or use testing/synctest and a timer")
}

// checkClock holds that state and scheduling depend on their input alone.
func checkClock(s source) (found []complaint) {
	if s.test || !below(s.dir, noClock...) {
		return nil
	}
	for _, name := range []string{"Now", "Since", "Until", "After", "NewTimer"} {
		found = append(found, s.uses("time", name, "time."+name+" in "+s.dir+": times are inputs of a command")...)
	}
	for _, spec := range s.file.Imports {
		if name := imported(spec); name == "crypto/rand" || strings.HasPrefix(name, "math/rand") {
			found = append(found, s.complain(spec.Pos(), "%s in %s: ids are inputs of a command", name, s.dir))
		}
	}
	return found
}

// uses finds pkg.name.
func (s source) uses(pkg, name, rule string) (found []complaint) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && selects(call.Fun, "synctest", "Test") && pkg == "time" {
			return false
		}
		if selects(n, pkg, name) {
			found = append(found, s.complain(n.Pos(), "%s", rule))
		}
		return true
	})
	return found
}

// selects tells whether a node is pkg.name.
func selects(n ast.Node, pkg, name string) bool {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == pkg
}

func checkSize(s source) []complaint {
	if s.lines <= maxLines {
		return nil
	}
	return []complaint{{s.path, s.lines, fmt.Sprintf("%d lines, at most %d: tell its parts apart", s.lines, maxLines)}}
}

func checkName(s source) []complaint {
	if name := strings.TrimSuffix(s.file.Name.Name, "_test"); slices.Contains(badNames, name) {
		return []complaint{s.complain(s.file.Name.Pos(), "package %s: name it after what it holds", name)}
	}
	return nil
}

// checkDocs holds that every package says in a sentence what it is.
func checkDocs(sources []source) (found []complaint) {
	first, documented := map[string]source{}, map[string]bool{}
	for _, s := range sources {
		if strings.HasSuffix(s.file.Name.Name, "_test") {
			continue
		}
		if _, seen := first[s.dir]; !seen {
			first[s.dir] = s
		}
		if s.file.Doc == nil {
			continue
		}
		documented[s.dir] = true
		if !properDoc(s) {
			found = append(found, s.complain(s.file.Doc.Pos(), "the package comment must be a sentence that begins with «Package %s», or «Command» for a program", s.file.Name.Name))
		}
	}
	for dir, s := range first {
		if !documented[dir] {
			found = append(found, s.complain(s.file.Name.Pos(), "package %s has no package comment: say in a sentence what it is", s.file.Name.Name))
		}
	}
	return found
}

func properDoc(s source) bool {
	sentence, _, _ := strings.Cut(s.file.Doc.Text(), "\n\n")
	start := "Package " + s.file.Name.Name + " "
	if s.file.Name.Name == "main" {
		start = "Command "
	}
	return strings.HasPrefix(sentence, start) && strings.HasSuffix(strings.TrimSpace(sentence), ".")
}

// checkSides holds that agent and controller meet in few places.
func checkSides(sources []source) (found []complaint) {
	sees := map[string]map[string]bool{}
	for _, s := range sources {
		for _, spec := range s.file.Imports {
			to, is := ours(spec)
			for _, side := range []string{"agent", "controller"} {
				if !is || !below(to, side) || below(s.dir, bothSides...) {
					continue
				}
				if sees[s.dir] == nil {
					sees[s.dir] = map[string]bool{}
				}
				if sees[s.dir][side] = true; len(sees[s.dir]) == 2 {
					found = append(found, s.complain(spec.Pos(), "%s must not import both agent and controller: only %q do", s.dir, bothSides))
				}
			}
		}
	}
	return found
}

// judge lists every broken rule, in order.
func judge(sources []source) []string {
	found := append(checkDocs(sources), checkSides(sources)...)
	for _, s := range sources {
		for _, check := range []func(source) []complaint{checkRooms, checkDoors, checkExit, checkSleep, checkClock, checkSize, checkName} {
			found = append(found, check(s)...)
		}
	}
	var lines []string
	for _, c := range found {
		lines = append(lines, c.String())
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// TestRules holds the rules of this repository.
func TestRules(t *testing.T) {
	sources, err := read(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 50 {
		t.Fatalf("only %d files found: is this the root of the repository?", len(sources))
	}
	for _, line := range judge(sources) {
		t.Error(line)
	}
}

// TestRulesCatch shows each rule a file that breaks it, and one that does not.
func TestRulesCatch(t *testing.T) {
	const doc = "// Package x is an example.\npackage x\n"
	imports := func(names ...string) string {
		text := doc
		for _, name := range names {
			text += "import _ \"" + strings.Replace(name, "OUR", module, 1) + "\"\n"
		}
		return text
	}
	for _, example := range []struct{ name, path, text, want string }{
		{"fine", "agent/x/x.go", imports("OUR/cluster/pki", "OUR/vm", "fmt"), ""},
		{"agent imports controller", "agent/x/x.go", imports("OUR/controller/state"), "agent/x/x.go:3: agent/x must not import controller/state"},
		{"controller imports agent", "controller/x/x.go", imports("OUR/agent"), "must not import agent"},
		{"a name that only starts alike", "agent/x/x.go", imports("OUR/clusterfoo"), "must not import clusterfoo"},
		{"sched imports ours", "controller/sched/x.go", imports("OUR/proto/state/v1"), "must not import proto/state/v1"},
		{"state imports vm", "controller/state/x.go", imports("OUR/vm"), "must not import vm"},
		{"vm imports cluster", "vm/x.go", imports("OUR/cluster/pki"), "must not import cluster/pki"},
		{"ml imports agent", "ml/x/x.go", imports("OUR/agent/collect"), "must not import agent/collect"},
		{"a test in the lab", "agent/x/x_test.go", imports("OUR/itest/lab"), ""},
		{"code in the lab", "agent/x/x.go", imports("OUR/itest/lab"), "must not import itest/lab"},
		{"raft's door", "cluster/consensus/x.go", imports("github.com/hashicorp/raft"), ""},
		{"raft elsewhere", "controller/x/x.go", imports("github.com/hashicorp/raft"), "must not import github.com/hashicorp/raft"},
		{"memberlist elsewhere", "agent/x/x.go", imports("github.com/hashicorp/memberlist"), "must not import"},
		{"libvirt elsewhere", "agent/hypervisor/x.go", imports("libvirt.org/go/libvirt"), "must not import libvirt.org/go/libvirt"},
		{"libvirtxml is another", "agent/hypervisor/x.go", imports("libvirt.org/go/libvirtxml"), ""},
		{"bbolt elsewhere", "cluster/blob/x.go", imports("go.etcd.io/bbolt"), "must not import go.etcd.io/bbolt"},
		{"both sides", "itest/x/x.go", imports("OUR/agent", "OUR/controller"), "x.go:4: itest/x must not import both"},
		{"both sides where they may", "itest/env/x.go", imports("OUR/agent", "OUR/controller"), ""},
		{"no comment", "vm/x.go", "package x\n", "vm/x.go:1: package x has no package comment"},
		{"a comment of something else", "vm/x.go", "// Stuff.\npackage x\n", "must be a sentence"},
		{"sleep in a test", "vm/x_test.go", doc + "import \"time\"\nfunc f() { time.Sleep(1) }\n", "vm/x_test.go:4: time.Sleep"},
		{"sleep in fake time", "vm/x_test.go", doc + "func f() { synctest.Test(t, func() { time.Sleep(1) }) }\n", ""},
		{"sleep in code", "vm/x.go", doc + "import \"time\"\nfunc f() { time.Sleep(1) }\n", ""},
		{"exit", "vm/x.go", doc + "import \"os\"\nfunc f() { os.Exit(1) }\n", "vm/x.go:4: os.Exit"},
		{"exit of a fault", "itest/fault/x.go", doc + "import \"os\"\nfunc f() { os.Exit(1) }\n", ""},
		{"clock in state", "controller/state/x.go", doc + "import \"time\"\nvar t = time.Now()\n", "controller/state/x.go:4: time.Now"},
		{"chance in state", "controller/state/x.go", imports("math/rand/v2"), "math/rand/v2"},
		{"long", "vm/x.go", doc + strings.Repeat("\n", maxLines), "502 lines"},
		{"name", "vm/util/x.go", "// Package util is an example.\npackage util\n", "package util: name it"},
		{"generated", "proto/x.go", "// Code generated by x. DO NOT EDIT.\npackage x\n" + strings.Repeat("\n", maxLines), ""},
		{"test data", "vm/testdata/x.go", "package util\n", ""},
	} {
		t.Run(example.name, func(t *testing.T) {
			sources, err := read(fstest.MapFS{example.path: {Data: []byte(example.text)}})
			if err != nil {
				t.Fatal(err)
			}
			got := judge(sources)
			if example.want == "" && len(got) > 0 || example.want != "" && (len(got) != 1 || !strings.Contains(got[0], example.want)) {
				t.Errorf("got %q, want %q", got, example.want)
			}
		})
	}
}
