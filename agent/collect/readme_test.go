package collect

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the table of metrics into README.md")

const (
	tableBegins = "<!-- metrics: begin -->\n"
	tableEnds   = "<!-- metrics: end -->"
)

// metricsTable is the registry for readers.
func metricsTable() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | what it says | measured by | OpenTelemetry | node_exporter |\n|---|---|---|---|---|---|---|\n")
	for _, def := range Canonical() {
		var sources []string
		for _, s := range def.Sources {
			sources = append(sources, string(s))
		}
		help := def.Help
		if def.Optional {
			help += " Only where asked for."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", def.Name, def.Type, strings.Join(def.Labels, ", "), help, strings.Join(sources, ", "), def.OTel, def.NodeExporter)
	}
	return b.String()
}

// TestReadmeListsTheRegistry holds the table of the README; -update writes it.
func TestReadmeListsTheRegistry(t *testing.T) {
	data, err := os.ReadFile("README.md")
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(data), tableBegins)
	require.True(t, found)
	table, after, found := strings.Cut(rest, tableEnds)
	require.True(t, found)
	if *update {
		require.NoError(t, os.WriteFile("README.md", []byte(before+tableBegins+metricsTable()+tableEnds+after), 0o600))
		return
	}
	require.Equal(t, metricsTable(), table, "run: go test ./agent/collect -run Readme -update")
}
