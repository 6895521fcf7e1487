package vm

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDiffNamesEachChange(t *testing.T) {
	from, to := valid(), valid()
	to.CPUs, to.Labels, to.Autostart = 4, map[string]string{"tier": "front"}, no()
	to.Volumes = append(to.Volumes, Volume{Name: "more", SizeGB: 7, DiskOptions: DiskOptions{QoS: DiskQoS{TotalIOPS: 5}}})
	to.CloudInit = &CloudInit{Hostname: "a"}
	require.Equal(t, []Change{
		{"labels[tier]", "", "front"}, {"cpus", "2", "4"},
		{"volumes[1].name", "", "more"}, {"volumes[1].sizeGB", "", "7"}, {"volumes[1].qos.totalIOPS", "", "5"},
		{"cloudInit.hostname", "", "a"}, {"autostart", "", "false"},
	}, Diff(from, to))
}

// A definition differs from itself in nothing, from the empty one in every leaf, and both ways alike.
func TestDiffSeesEveryField(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		def := anyDefinition().Draw(t, "definition")
		require.Empty(t, Diff(def, def))
		there, back := Diff(Definition{}, def), Diff(def, Definition{})
		require.Len(t, back, len(there))
		require.GreaterOrEqual(t, len(there), len(allKeys(reflect.TypeFor[Definition]()))-len(groups(reflect.TypeFor[Definition]())))
		for i, c := range there {
			require.Equal(t, Change{c.Path, c.To, c.From}, back[i])
		}
	})
}

// groups lists the keys that hold fields rather than values.
func groups(t reflect.Type) map[string]bool {
	all := map[string]bool{}
	for key := range keys(t) {
		field := t.FieldByIndex(keys(t)[key]).Type
		for field.Kind() == reflect.Pointer || field.Kind() == reflect.Slice {
			field = field.Elem()
		}
		if field.Kind() != reflect.Struct {
			continue
		}
		all[key] = true
		for inner := range groups(field) {
			all[inner] = true
		}
	}
	return all
}
