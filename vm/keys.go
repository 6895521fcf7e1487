package vm

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// keys maps the keys of a struct's text form to its fields; those of an embedded struct stand among its own.
func keys(t reflect.Type) map[string][]int {
	known := map[string][]int{}
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Anonymous {
			for name, index := range keys(field.Type) {
				known[name] = append([]int{i}, index...)
			}
			continue
		}
		known[keyOf(field)] = []int{i}
	}
	return known
}

func keyOf(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

func sortedKeys(known map[string][]int) []string { return slices.Sorted(maps.Keys(known)) }
