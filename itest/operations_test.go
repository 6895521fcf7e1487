package itest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryOperationHasItsTest holds the table of the README to the code: its tests exist, and no verb of machines, volumes,
// networks and security groups is without a line, but for those that only show.
func TestEveryOperationHasItsTest(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "<!-- operations -->")
	table, _, ended := strings.Cut(rest, "<!-- end of operations -->")
	require.True(t, found && ended, "the table is marked")
	folders := map[string]string{"itest": ".", "libvirt": "../agent/hypervisor/libvirt"}
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| operation") {
			continue
		}
		tests := regexp.MustCompile("`(itest|libvirt)\\.(Test\\w+)`").FindAllStringSubmatch(line, -1)
		require.NotEmpty(t, tests, "no test in %s", line)
		for _, test := range tests {
			require.Contains(t, declaredIn(t, folders[test[1]]), "func "+test[2]+"(", "%s is in the table", test[2])
		}
	}
	reading := []string{"watch", "template", "annotate", "show", "list"}
	for _, noun := range []string{"vm", "volume", "network", "security-group"} {
		for _, verb := range verbsOf(t, noun) {
			if !strings.Contains(strings.Join(reading, " "), verb) {
				require.Contains(t, table, "`"+noun+" "+verb, "novacron %s %s is in no line", noun, verb)
			}
		}
	}
}

func declaredIn(t *testing.T, folder string) (all string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		all += string(text)
	}
	return all
}

// verbsOf finds the verbs of a noun where the command line puts them together.
func verbsOf(t *testing.T, noun string) (verbs []string) {
	t.Helper()
	file := strings.ReplaceAll(noun, "-", "_") + ".go"
	text, err := os.ReadFile(filepath.Join("../controller/cli", file))
	require.NoError(t, err)
	camel := map[string]string{"security-group": "securityGroup"}[noun]
	if camel == "" {
		camel = noun
	}
	for _, m := range regexp.MustCompile(`a\.`+camel+`([A-Z]\w*)\(\)`).FindAllStringSubmatch(string(text), -1) {
		if verb := strings.ToLower(m[1]); verb != "table" && verb != "command" {
			verbs = append(verbs, verb)
		}
	}
	require.NotEmpty(t, verbs, noun)
	return verbs
}
