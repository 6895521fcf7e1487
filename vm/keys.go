package vm

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// keys maps the keys of a struct's text form to its fields.
func keys(t reflect.Type) map[string]int {
	known := map[string]int{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		known[name] = i
	}
	return known
}

func sortedKeys(known map[string]int) []string { return slices.Sorted(maps.Keys(known)) }
