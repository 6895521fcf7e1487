package cloudwatch

import (
	"debug/elf"
	"debug/gosym"
	"os"
	"runtime"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/require"
)

// TestEC2IsNotLinkedAsAWhole holds that of EC2's client the program has what it uses. Templates find methods by name: with
// them in the program, a client that an interface or a struct holds keeps all of its 700 operations, 37 MB.
func TestEC2IsNotLinkedAsAWhole(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the program is no ELF file")
	}
	require.NoError(t, template.Must(template.New("").Parse("{{.Name}}")).Execute(&strings.Builder{}, t))
	file, err := elf.Open("/proc/self/exe")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	lines, err := file.Section(".gopclntab").Data()
	require.NoError(t, err)
	table, err := gosym.NewTable(nil, gosym.NewLineTable(lines, file.Section(".text").Addr))
	require.NoError(t, err)
	found, methods := 0, 0
	for _, f := range table.Funcs {
		if strings.Contains(f.Name, "service/ec2.(*Client).") {
			methods++
		}
		if strings.HasSuffix(f.Name, "service/ec2.(*Client).DescribeInstances") {
			found++
		}
	}
	require.Positive(t, found, "%s has no names of functions", os.Args[0])
	require.Less(t, methods, 100)
}
