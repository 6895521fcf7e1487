package hypervisor

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	page      = "../README.md"
	ruleCount = 45
)

// TestReadmeTellsTheCode holds the tables of the agents' page to the code; with -update it writes them anew.
func TestReadmeTellsTheCode(t *testing.T) {
	data, err := os.ReadFile(page)
	require.NoError(t, err)
	text := string(data)
	for name, table := range map[string]string{"parameters": parameterTable(t), "rules": ruleTable(t)} {
		text = between(t, text, name, table)
	}
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(text), 0o644))
		return
	}
	require.Equal(t, text, string(data), "write it anew: go test ./agent/hypervisor -run Readme -update")
}

// between puts a table where the page has its marks.
func between(t *testing.T, text, name, table string) string {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	before, rest, ok := strings.Cut(text, begin)
	require.True(t, ok, "the page has no mark %s", begin)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "the page has no mark %s", end)
	return before + begin + table + end + after
}

func ruleTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| | about | rule | checked in |\n|---|---|---|---|\n")
	book := rulebook()
	for number := 1; number <= ruleCount; number++ {
		r := book[number]
		fmt.Fprintf(&b, "| %02d | %s | %s | `%s` |\n", number, r.about, r.text, strings.Join(r.checked, "` `"))
	}
	return b.String()
}

// TestEveryRuleIsInTheBook: each has its text, functions that exist, and a test of its number.
func TestEveryRuleIsInTheBook(t *testing.T) {
	book := rulebook()
	require.Len(t, book, ruleCount)
	tested := testedRules(t)
	declared := map[string]map[string]bool{}
	for number := 1; number <= ruleCount; number++ {
		r := book[number]
		require.NotEmpty(t, r.text, "rule %d", number)
		require.True(t, tested[fmt.Sprintf("%02d", number)], "rule %d has no test called rule-%02d", number, number)
		for _, function := range r.checked {
			pkg, name, _ := strings.Cut(function, ".")
			if declared[pkg] == nil {
				declared[pkg] = functionsOf(t, pkg)
			}
			require.True(t, declared[pkg][name], "rule %d is checked in %s, which does not exist", number, function)
		}
	}
}

// functionsOf lists the functions and methods of a package by its name.
func functionsOf(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	folder := map[string]string{"vm": "../../vm", "hypervisor": ".", "libvirt": "libvirt", "domainxml": "domainxml",
		"ostype": "../../vm/ostype", "diskimage": "../../vm/diskimage", "state": "../../controller/state", "rpc": "../../controller/rpc"}[pkg]
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "package %s", pkg)
	names := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}

// testedRules finds the numbers of rules that tests are named by: in calls, and in the tables of rules.
func testedRules(t *testing.T) map[string]bool {
	t.Helper()
	named := regexp.MustCompile(`(?m)"rule-(\d\d)"|^\t\t\{(\d+), `)
	found := map[string]bool{}
	for _, file := range []string{"rules_test.go", "lifecycle_test.go", "../../vm/rules_test.go"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			found[fmt.Sprintf("%02s", m[1]+m[2])] = true
		}
	}
	return found
}
