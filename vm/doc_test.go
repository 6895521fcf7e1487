package vm

import (
	"os"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryFieldIsDocumented fails when the page of fields forgets one.
func TestEveryFieldIsDocumented(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for key := range allKeys(reflect.TypeFor[Definition]()) {
		require.Contains(t, string(page), "`"+key+"`")
	}
}

// allKeys lists the keys of a structure and of all that is in it.
func allKeys(t reflect.Type) map[string]bool {
	all := map[string]bool{}
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return all
	}
	for key, index := range keys(t) {
		all[key] = true
		for inner := range allKeys(t.FieldByIndex(index).Type) {
			all[inner] = true
		}
	}
	return all
}
